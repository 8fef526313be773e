import copy
import pickle

from things import Special, Thing


def run(turn):
    found = []
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for kind in (Thing, Special):
            again = pickle.loads(pickle.dumps(kind(turn % 3), protocol))
            assert type(again) is kind, (again, kind)
            found.append(again.value)
    assert type(copy.deepcopy(Special(1))) is Special
    slow = pickle._loads(pickle._dumps(Thing(1)))
    assert type(slow) is Thing
    return f"{again.owner} {slow.owner} {found[0]}"
