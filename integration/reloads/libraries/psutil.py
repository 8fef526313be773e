"""psutil>=5.9
psutil>=7
"""

import os

import psutil


def use():
    process = psutil.Process()
    assert process.memory_info().rss > 0 and process.pid == os.getpid()
    try:
        psutil.Process(2**22 + 1)
    except psutil.NoSuchProcess as error:
        return str(error.msg)
