"""Classes that both vhosts have under the same names, and that say whose they are."""

import me


class Thing:
    owner = me.NAME

    def __init__(self, value):
        self.value = value


class Special(Thing):
    pass
