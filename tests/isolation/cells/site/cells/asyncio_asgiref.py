import asyncio
import contextvars

import me
from asgiref.local import Local
from asgiref.sync import async_to_sync, sync_to_async

owner = contextvars.ContextVar("owner")
local = Local()


def blocking():
    from lazily import awaited

    return f"{awaited.NAME} {owner.get()} {local.value}"


async def work():
    owner.set(me.NAME)
    local.value = me.NAME
    first = await sync_to_async(blocking)()
    second = await asyncio.get_running_loop().run_in_executor(
        None, contextvars.copy_context().run, owner.get
    )
    return f"{first} {second}"


def run(turn):
    return async_to_sync(work)() + " " + asyncio.run(work())
