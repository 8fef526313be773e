import importlib
import pkgutil

import many

for found in pkgutil.iter_modules(many.__path__):
    importlib.import_module(f"many.{found.name}")

BODY = b"x" * 1024
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]
