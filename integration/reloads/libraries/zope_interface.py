"""zope-interface>=6.0"""

from zope.interface import Interface, adapter, implementer, interface
from zope.interface.verify import verifyObject

OPTIONAL = "look-ups"  # what its compiled part makes faster


class IThing(Interface):
    def run():
        """Run."""


@implementer(IThing)
class Thing:
    def run(self):
        return 1


def use():
    registry = adapter.AdapterRegistry()
    registry.register([IThing], IThing, "", Thing)
    assert verifyObject(IThing, Thing()) and IThing.providedBy(Thing())
    assert type(IThing) is interface.InterfaceClass
    return f"{IThing(Thing()).run()} {registry.lookup1(IThing, IThing).__name__}"
