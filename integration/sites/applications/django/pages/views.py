import os
import uuid

import django
from django.conf import settings
from django.core.signals import request_finished
from django.http import JsonResponse
from django.template import engines

from pages.models import Page

LOAD = uuid.uuid4().hex
SEEN = ["@site@", "@release@"]
FINISHED = []


def remember(**_):
    FINISHED.append(1)


request_finished.connect(remember)


def index(request):
    text = (
        engines["django"]
        .from_string("{{ a }},{{ b }}")
        .render({"a": settings.SEEN[0], "b": settings.SEEN[1]})
    )
    return JsonResponse(
        {
            "load": LOAD,
            "pid": os.getpid(),
            "library": django.get_version(),
            "seen": [SEEN, settings.SEEN, text.split(",")],
            "sql": str(Page.objects.filter(title="x").query),
        }
    )


def finished(request):
    return JsonResponse({"finished": len(FINISHED)})
