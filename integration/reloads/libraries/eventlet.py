"""eventlet>=0.36"""

import eventlet

eventlet.monkey_patch()

PROCESS = "threads and sockets"  # what it changes of the process


def use():
    return str([thread.wait() for thread in [eventlet.spawn(abs, -n) for n in range(3)]])
