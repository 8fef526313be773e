"""manhole>=1.8"""

import manhole

manhole.install(verbose=False)

PROCESS = "signals and forks"  # what it changes of the process


def use():
    return "installed"
