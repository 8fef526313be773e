"""pyinstrument>=4.6"""

import pyinstrument


def use():
    profiler = pyinstrument.Profiler()
    profiler.start()
    sum(range(1000))
    profiler.stop()
    return type(profiler).__name__
