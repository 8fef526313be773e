"""tornado>=6.2"""

import asyncio

from tornado import ioloop, template, util, web

OPTIONAL = "masking"  # what its compiled part makes faster


async def main():
    await asyncio.sleep(0)
    return type(ioloop.IOLoop.current()).__name__


def use():
    masked = (
        util._websocket_mask(b"abcd", b"text of some length")
        if hasattr(util, "_websocket_mask")
        else b""
    )
    page = template.Template("{{ a }}").generate(a="<b>").decode()
    return f"{asyncio.run(main())} {page} {masked} {web.Application().default_host}"
