"""gevent>=24.2"""

from gevent import monkey

monkey.patch_all()

import gevent  # noqa: E402

PROCESS = "threads, sockets and signals"  # what it changes of the process


def use():
    return str([job.get() for job in [gevent.spawn(abs, -n) for n in range(3)]])
