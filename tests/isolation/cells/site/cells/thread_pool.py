import pickle
from concurrent.futures import ThreadPoolExecutor

from things import Thing


def lazy(number):
    from numbered import module_3

    return module_3.NAME


def run(turn):
    data = pickle.dumps(Thing(2))
    with ThreadPoolExecutor(2) as pool:
        names = set(pool.map(lazy, range(4)))
        loaded = pool.submit(pickle.loads, data).result()
    assert type(loaded) is Thing
    return f"{names} {loaded.owner}"
