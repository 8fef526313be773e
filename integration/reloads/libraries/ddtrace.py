"""ddtrace>=2.9"""

import ddtrace.auto  # noqa: F401


def use():
    return "traced"
