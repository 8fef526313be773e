"""greenlet>=3"""

import greenlet


def use():
    seen = []

    def inner(text):
        seen.append(text)
        seen.append(outer.switch("out"))
        raise greenlet.GreenletExit

    outer = greenlet.getcurrent()
    child = greenlet.greenlet(inner)
    seen.append(child.switch("in"))
    child.switch("again")
    assert child.dead
    return str(seen)
