"""coverage>=7.2"""

import coverage


def use():
    measured = coverage.Coverage(data_file=None)
    measured.start()
    measured.stop()
    return type(measured).__name__
