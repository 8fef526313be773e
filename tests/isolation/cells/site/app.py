"""A vhost whose requests each run one cell; the answer names whose code gave it."""

import importlib
import os
import typing  # noqa: F401  # dataclasses takes it from sys.modules, half imported or not

import me

# What cells set is added while there is one thread. In any program a child that C code starts in
# the moment in which another thread adds a variable may get the freed list, and then end with 127.
for name, value in (
    ("CELLS_OWNER", me.NAME),
    ("CELLS_DEFAULT", me.NAME),
    ("DJANGO_SETTINGS_MODULE", "django_settings"),
    ("TZ", ":/etc/localtime"),  # as without it
):
    os.environ.setdefault(name, value)


def app(environ, start_response):
    cell = importlib.import_module("cells." + environ["PATH_INFO"].strip("/"))
    answer = cell.run(int(environ.get("QUERY_STRING") or 0))
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{me.NAME}: {answer}".encode()]
