import multiprocessing

import me
from things import Thing

ROUNDS = 1


def work(thing, queue):
    queue.put((thing, f"{me.NAME} {type(thing).owner}"))


def run(turn):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=work, args=(Thing(3), queue))
    child.start()
    thing, text = queue.get(timeout=60)
    while child.exitcode is None:  # another thread's start() may be the one that reaps it
        child.join(0.01)
    queue.close()
    queue.join_thread()
    assert type(thing) is Thing
    return f"{thing.owner} {text} {child.exitcode}"
