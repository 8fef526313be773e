"""numpy>=1.26,<2
numpy>=2
"""

import numpy


def use():
    grid = numpy.arange(12).reshape(3, 4)
    return f"{(grid @ grid.T).tolist()} {numpy.linalg.det(numpy.eye(3))}"
