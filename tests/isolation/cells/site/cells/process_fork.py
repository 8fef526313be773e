import multiprocessing

# Before any fork: a child that needs what another thread was importing then waits for ever, in
# CPython as here.
import lazily  # noqa: F401
import me
from things import Thing

ROUNDS = 1


def work(thing, connection):
    from lazily import forked

    connection.send((thing, f"{forked.NAME} {me.NAME}"))
    connection.close()


def run(turn):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=work, args=(Thing(3), theirs))
    child.start()
    theirs.close()
    thing, text = ours.recv()
    ours.close()
    while child.exitcode is None:  # another thread's start() may be the one that reaps it
        child.join(0.01)
    assert type(thing) is Thing
    return f"{thing.owner} {text} {child.exitcode}"
