import queue
import sched


def run(turn):
    return f"{sched.OWNER} {sched.lookup()} {queue.Queue.__name__}"
