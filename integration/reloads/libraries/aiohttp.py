"""aiohttp>=3.9"""

import asyncio

import aiohttp
from aiohttp import web

OPTIONAL = "parsing"  # what its compiled part makes faster


async def talk():
    async def hello(request):
        return web.Response(text=f"hello {request.query['name']}")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/?name=you"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    await runner.cleanup()
    return text


def use():
    return asyncio.run(talk())
