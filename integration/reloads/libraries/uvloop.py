"""uvloop>=0.17"""

import asyncio

import uvloop


async def main():
    await asyncio.sleep(0)
    return type(asyncio.get_running_loop()).__name__


PROCESS = "signals and forks"  # what it changes of the process


def use():
    uvloop.install()
    return asyncio.run(main())
