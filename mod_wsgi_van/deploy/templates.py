"""First releases that run as they are: their files, by the name that ``new --from`` gives them."""

from __future__ import annotations

_PLAIN = '''\
"""The application of this site: a WSGI callable, or a framework's object of that kind."""


def app(environ, start_response):
    body = f"{environ['HTTP_HOST']} is served by mod_wsgi_van\\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
'''

_FLASK = """\
from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def hello():
    return f"{request.host} is served by mod_wsgi_van\\n"
"""

_DJANGO = """\
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
app = get_wsgi_application()
"""

_MANAGE = """\
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "wsgi"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""

_SETTINGS = """\
import os

from django.core.management.utils import get_random_secret_key

# Write SECRET_KEY=... to shared/.env: without one, what is signed is void after each reload.
SECRET_KEY = os.environ.get("SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = ["*"]  # this application is asked for the names of its site alone
ROOT_URLCONF = "project.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
"""

_URLS = """\
from django.http import HttpResponse
from django.urls import path


def hello(request):
    return HttpResponse(f"{request.get_host()} is served by mod_wsgi_van\\n")


urlpatterns = [path("", hello)]
"""

TEMPLATES = {
    "plain": {"wsgi/app.py": _PLAIN},
    "flask": {"wsgi/app.py": _FLASK, "requirements.txt": "flask>=3\n"},
    "django": {
        "wsgi/app.py": _DJANGO,
        "wsgi/project/__init__.py": "",
        "wsgi/project/settings.py": _SETTINGS,
        "wsgi/project/urls.py": _URLS,
        "manage.py": _MANAGE,
        "requirements.txt": "django>=4.2\n",
    },
}
