"""Says what kind of process it runs in."""

import json
import locale
import os
import pwd
import sys


def app(environ, start_response):
    said = {
        "encodings": [
            sys.getfilesystemencoding().lower(),
            locale.getpreferredencoding(False).lower(),
        ],
        "lang": os.environ.get("LANG"),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "application_group": environ["mod_wsgi.application_group"],
        "process_group": environ["mod_wsgi.process_group"],
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
