"""A vhost whose requests each run one cell; the answer names whose code gave it."""

import importlib

import me


def app(environ, start_response):
    cell = importlib.import_module("cells." + environ["PATH_INFO"].strip("/"))
    answer = cell.run(int(environ.get("QUERY_STRING") or 0))
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{me.NAME}: {answer}".encode()]
