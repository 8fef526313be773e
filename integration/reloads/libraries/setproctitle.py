"""setproctitle>=1.3"""

import setproctitle


def use():
    setproctitle.setproctitle("a site")
    return setproctitle.getproctitle()
