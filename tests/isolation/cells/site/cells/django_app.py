import os
import threading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")

import django
from django.conf import settings
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
once = threading.Lock()
ready = []


def prepare():
    from django.core.management import call_command

    with once:
        if not ready:
            call_command("migrate", verbosity=0, run_syncdb=True)
            ready.append(True)


def run(turn):
    from django.test import RequestFactory
    from things import Thing

    prepare()
    environ = RequestFactory().get("/hello/", {"word": f"w{turn % 3}"}).environ
    environ["HTTP_HOST"] = "localhost"
    said = []
    response = application(environ, lambda status, headers: said.append(status))
    body = b"".join(response)
    response.close()  # or Django keeps its connection to the database
    cache.set("thing", Thing(7))
    found = cache.get("thing")
    assert type(found) is Thing
    return (
        f"{said[0]} {body.decode()} {django.__version__} {found.owner} {found.value} {settings.WHO}"
    )
