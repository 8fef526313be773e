"""websockets>=10.4"""

import asyncio

from websockets.frames import Frame, Opcode


def use():
    data = Frame(Opcode.TEXT, b"hello").serialize(mask=False)
    from websockets.utils import apply_mask

    return f"{data!r} {apply_mask(b'text', b'abcd')!r} {asyncio.iscoroutinefunction(use)}"
