import sched
import queue

import me


def run(turn):
    return f"{sched.OWNER} {sched.lookup()} {queue.Queue.__name__}"
