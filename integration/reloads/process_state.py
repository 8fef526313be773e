"""What belongs to a process and not to a site, as far as it can be looked at."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import faulthandler
import gc
import http.client
import io
import json
import locale
import logging
import os
import queue
import resource
import select
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
import types
import typing
import urllib.request
import warnings
from pathlib import Path
from typing import Any

# What libraries are known to patch. The modules themselves, since another may stand in the table.
MODULES = (_thread, asyncio, concurrent.futures, http.client, io, json, logging, os, queue, select,
           selectors, signal, socket, ssl, subprocess, sys, threading, time, typing, types,
           urllib.request, warnings)  # fmt: skip


def look() -> dict[str, Any]:
    return settings() | signals() | limits() | functions()


def changes(before: dict[str, Any]) -> str:
    """What is not as before, "" for nothing."""
    now = look()
    names = [name for name, value in before.items() if not same(now.get(name), value)]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "the process: " + ", ".join(names[:3]) + more if names else ""


def same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is not types.FunctionType and bool(one == other))


def settings() -> dict[str, Any]:
    mask = os.umask(0o22)
    os.umask(mask)
    return {
        "the working directory": str(Path.cwd()),
        "the umask": mask,
        "the locale": locale.setlocale(locale.LC_ALL),
        "the time zone": time.tzname,
        "faulthandler": faulthandler.is_enabled(),
        "the recursion limit": sys.getrecursionlimit(),
        "the switch interval": sys.getswitchinterval(),
        "the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "the socket time-out": socket.getdefaulttimeout(),
        "tracing": (sys.gettrace(), threading.gettrace(), tracemalloc.is_tracing(), monitored()),
        "profiling": (sys.getprofile(), threading.getprofile()),
        "its name": Path("/proc/self/cmdline").read_text(),
        "the niceness": os.nice(0),
    }


def monitored() -> list[str | None]:
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    return [monitoring.get_tool(number) for number in range(6)] if monitoring else []


def signals() -> dict[str, Any]:
    return {f"the handler of {each.name}": signal.getsignal(each) for each in signal.Signals}


def limits() -> dict[str, Any]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {f"the limit {name}": resource.getrlimit(getattr(resource, name)) for name in names}


def functions() -> dict[str, Any]:
    """The functions and classes of standard modules, and the functions in these classes."""
    found = {}
    for module in MODULES:
        for name, value in list(vars(module).items()):
            if callable(value):
                found[f"{module.__name__}.{name}"] = value
            if isinstance(value, type) and value.__module__ == module.__name__:
                for member, function in list(vars(value).items()):
                    if type(function) is types.FunctionType:
                        found[f"{module.__name__}.{name}.{member}"] = function
    return found
