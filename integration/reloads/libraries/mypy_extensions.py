"""mypy-extensions>=1.0"""

import mypy_extensions


def use():
    return mypy_extensions.TypedDict.__name__ if hasattr(mypy_extensions, "TypedDict") else "none"
