"""Maintenance: a site answers 503, with its own page, for as long as a mark of it stands.

Looked at by ``van-files`` and by the threads that load, after the way to the marks was armed. What
is loaded stays so, and a deploy goes on as ever: it is live when the last mark is gone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from mod_wsgi_van import answers
from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.chain import identify
from mod_wsgi_van.files.reading import read_bytes
from mod_wsgi_van.sites.release import Answer
from mod_wsgi_van.sites.site import Site
from mod_wsgi_van.sites.table import Sites
from mod_wsgi_van.wsgi import Environ, Response, StartResponse

log = logging.getLogger(__name__)

PAGES = ("maintenance.html", "shared/maintenance.html")  # the first one that is there
SIZE = 64 * 1024  # bytes of a page


@dataclass(frozen=True, slots=True)
class Page:
    """A WSGI application that answers with a page of a site's own."""

    body: bytes

    def __call__(self, environ: Environ, start_response: StartResponse) -> Response:
        status, later = "503 Service Unavailable", answers.MAINTENANCE
        return answers.short(environ, start_response, status, later, self.body)


class Maintenance:
    """``plain`` answers where a site has no page; ``owned``: only its owner's file is one."""

    def __init__(self, sites: Sites, plain: Answer, *, owned: bool) -> None:
        self._sites = sites
        self._plain = plain
        self._owned = owned

    def look(self, site: Site, marks: Sequence[str] | None = None) -> None:
        """Have a site answer what its marks say.

        With ``marks``, which are looked at from now on, the page is read anew. Two threads may look
        at once: the last one to tell the table looks again after that, so what it said holds.
        """
        anew = marks is not None
        if marks is not None:
            site.marks = tuple(marks)
        while True:
            found = tuple(map(identify, site.marks))
            if found != site.marked or (anew and any(found)):
                self._tell(site, any(found))
                site.marked = found
            if tuple(map(identify, site.marks)) == found:
                return

    def _tell(self, site: Site, wanted: bool) -> None:
        answer, said = self._answer(site) if wanted else (None, "")
        before = site.maintenance
        if before and answer and before.application == answer.application:
            return
        if self._sites.maintain(site, answer) and (before is None) != (answer is None):
            log.info("%s: maintenance %s", site.host, f"on: {said}" if answer else "off")

    def _answer(self, site: Site) -> tuple[Answer, str]:
        """What requests get, and how to say that."""
        try:
            owner = os.stat(site.path).st_uid if self._owned else None
            for name in PAGES:
                path = os.path.join(site.path, name)
                body = read_bytes(path, SIZE, owner)
                if body is not None:
                    return Answer(Page(body)), f"requests get 503 with {path}"
        except (LoadError, OSError) as error:
            return self._plain, f"requests get 503 without a page: {error}"
        return self._plain, f"requests get 503; for a page of its own write {PAGES[0]}"
