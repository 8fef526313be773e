"""twisted>=24.3"""

import threading

from twisted.internet import reactor

thread = threading.Thread(target=reactor.run, args=(False,), daemon=True)
thread.start()


def use():
    done = threading.Event()
    reactor.callFromThread(done.set)
    return str(done.wait(5))
