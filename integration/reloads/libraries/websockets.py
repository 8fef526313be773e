"""websockets>=10.4"""

import asyncio

from websockets.frames import Frame, Opcode

OPTIONAL = "masking"  # what its compiled part makes faster


def use():
    data = Frame(Opcode.TEXT, b"hello").serialize(mask=False)
    from websockets.utils import apply_mask

    return f"{data!r} {apply_mask(b'text', b'abcd')!r} {asyncio.iscoroutinefunction(use)}"
