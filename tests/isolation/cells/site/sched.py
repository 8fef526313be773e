"""Hides the standard module of this name."""

import me

OWNER = "sched of " + me.NAME


def lookup():
    import sched

    return sched.OWNER
