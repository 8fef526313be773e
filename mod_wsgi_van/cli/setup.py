"""From an Apache without sites to a first one that answers, on Debian and Ubuntu.

Every change is shown before it is made and written down, so that all can be taken back.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mod_wsgi_van import blocks
from mod_wsgi_van.blocks import Installation
from mod_wsgi_van.cli import apache, debian
from mod_wsgi_van.cli.changes import Change, Journal, NewDirectory, NewFile, NewLink, run
from mod_wsgi_van.cli.problem import Problem
from mod_wsgi_van.settings import Settings

Say = Callable[[str], None]

_PACKAGE = "mod_wsgi_van"
_SITE = "van"
_SPAWNER = "mod-wsgi-van-spawner"
_MODULES = ("vhost_alias", "rewrite", "wsgi")
_TLS_MODULES = ("ssl", "http2")
_ANSWERS_WITHIN = 30.0  # seconds; it takes below one
_PATIENCE = 5.0  # for one try


@dataclass(frozen=True, slots=True)
class Plan:
    """What setup was asked for. ``say`` gets a line for each step."""

    of: Installation
    say: Say

    @property
    def host(self) -> str:
        """The first site."""
        return f"hello.{self.of.domain}"

    @property
    def journal(self) -> Path:
        return Path(self.of.etc, "setup.json")


def files(of: Installation, host: str) -> list[Change]:
    """All but Apache's own site, in the order in which it is made."""
    link = "/usr/local/bin/mod-wsgi-van"
    command = os.path.join(sys.prefix, "bin/mod-wsgi-van")
    linked = [] if shutil.which("mod-wsgi-van") else [NewLink(link, command)]
    secure = _TLS_MODULES if of.tls != "none" else ()
    managed = ("md",) if of.tls == "mod_md" else ()
    first: list[Change] = [
        NewDirectory(f"{of.base}/{host}/wsgi"),
        NewDirectory(f"{of.base}/{host}/static"),
        NewFile(f"{of.base}/{host}/wsgi/app.py", blocks.first_site()),
    ]
    if of.site_user == "owner":  # the first one would be root's, whom nothing runs as
        unit = NewFile(str(debian.SERVICES / f"{_SPAWNER}.service"), blocks.spawner(of))
        enabled = debian.service(_SPAWNER)
        first = [NewDirectory(each) for each in (of.base, os.path.dirname(enabled.witness))]
        first += [unit, enabled]
    return [
        NewDirectory(of.etc),
        NewFile(f"{of.etc}/van.toml", blocks.van_toml(of)),
        NewFile(f"{of.etc}/app.wsgi", blocks.wsgi_file()),
        NewFile(f"/etc/tmpfiles.d/{_PACKAGE}.conf", blocks.tmpfiles(of)),
        NewDirectory(Settings.status_directory, of.user, of.group),
        *linked,
        *first,
        *(debian.module(name) for name in (*_MODULES, *secure, *managed)),
    ]


def apache_site(of: Installation) -> list[Change]:
    """The file of the site, and its link."""
    path = debian.CONFIGURATION / f"sites-available/{_SITE}.conf"
    return [NewFile(str(path), blocks.apache(of)), debian.site(_SITE)]


def show(plan: Plan) -> None:
    """Say every step with the whole text of each file, and change nothing. Raises Problem."""
    _check(plan)
    journal = Journal.read(plan.journal)
    for change in [*files(plan.of, plan.host), *apache_site(plan.of)]:
        if not journal.wants(change):
            plan.say(f"(there already) {change}")
            continue
        plan.say(str(change))
        if isinstance(change, NewFile):
            plan.say("".join(f"    {line}\n" for line in change.text.splitlines()).rstrip("\n"))
    if _lacks_certificate(plan.of):
        plan.say(" ".join(_certbot(plan)))
    for command in ("apache2ctl configtest", " ".join(debian.reloading())):
        plan.say(command)
    plan.say(f"fetch {_url(plan)}")


def make(plan: Plan) -> None:
    """Do it. Raises Problem, after everything of this run was taken back."""
    _check(plan)
    os.umask(0o022)  # the daemon's user reads what is made, and Apache's sockets must be open to it
    journal = Journal.read(plan.journal)
    before, ran = len(journal.entries), debian.runs()
    for change in (*files(plan.of, plan.host), *apache_site(plan.of)):
        journal.wants(change)  # what stands in the way is known before anything is changed
    try:
        _make(plan, journal, files(plan.of, plan.host))
        if _lacks_certificate(plan.of):
            _apache(plan, journal, replace(plan.of, tls="none"))
            plan.say("ask for a certificate: " + " ".join(_certbot(plan)))
            run(_certbot(plan), timeout=600)
        _apache(plan, journal, plan.of)
        plan.say(f"fetch {_url(plan)}")
        _fetch(plan)
    except BaseException:
        plan.say("it failed; what was done is taken back:")
        for line in (*journal.restore(), *journal.take_back(debian.still_used, before)):
            plan.say(f"  {line}")
        _settle(plan, ran)
        raise


def take_back(plan: Plan) -> None:
    """Take back what earlier runs have made. Raises Problem when a step fails."""
    journal = Journal.read(plan.journal)
    if not journal.entries:
        raise Problem(f"{plan.journal} does not exist: setup has made nothing that is left")
    for line in journal.take_back(debian.still_used):
        plan.say(line)
    _settle(plan, debian.runs())
    if journal.entries:
        raise Problem(f"not all could be taken back; {plan.journal} says what is left")


def _settle(plan: Plan, ran: bool) -> None:
    """Let Apache go on with what is left, where it ``ran``."""
    if not ran:
        return
    try:
        debian.configtest()
        debian.reload()
    except Problem as error:
        plan.say(f"Apache was not reloaded: {error}")


def _check(plan: Plan) -> None:
    """Raises Problem where setup cannot work, before anything is changed."""
    if os.geteuid() != 0:
        raise Problem("setup writes below /etc: run it as root")
    debian.check()
    for path in (sys.prefix, plan.of.home):
        apache.check_readable(plan.of.user, path)
    if not os.path.isdir(plan.of.base) and os.path.lexists(plan.of.base):
        raise Problem(f"base path {plan.of.base} is not a directory")
    if plan.of.tls == "files":
        public, key = blocks.certificate(plan.of)
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(public, key)
        except OSError as error:  # SSLError is one
            text = f"{public} and {key} are no certificate with its key: {error}"
            raise Problem(f"{text}; --tls CERTIFICATE,KEY names two files in PEM format") from error
    if plan.of.tls == "mod_md" and not os.access(f"{plan.of.etc}/dns01", os.X_OK):
        raise Problem(
            f"a certificate for *.{plan.of.domain} needs a program {plan.of.etc}/dns01 that sets"
            " the record that Let's Encrypt asks for (mod_md, MDChallengeDns01): write it first"
        )
    if _lacks_certificate(plan.of) and shutil.which("certbot") is None:
        raise Problem("there is no certbot (apt install certbot)")


def _make(plan: Plan, journal: Journal, changes: Iterable[Change]) -> None:
    for change in changes:
        if journal.wants(change):
            plan.say(str(change))
            journal.make(change)
        else:
            plan.say(f"(there already) {change}")


def _apache(plan: Plan, journal: Journal, of: Installation) -> None:
    _make(plan, journal, apache_site(of))
    plan.say("apache2ctl configtest")
    debian.configtest()
    plan.say(" ".join(debian.reloading()))
    debian.reload()


def _lacks_certificate(of: Installation) -> bool:
    return of.tls == "certbot" and not all(map(os.path.exists, blocks.certificate(of)))


def _certbot(plan: Plan) -> list[str]:
    """One certificate for the first site; further names are added by certbot --expand."""
    of = plan.of
    mail = ["--email", of.email] if of.email else ["--register-unsafely-without-email"]
    return [
        *("certbot", "certonly", "--non-interactive", "--agree-tos", *mail),
        *("--cert-name", of.domain, "--deploy-hook", " ".join(debian.reloading())),
        *("--webroot", "--webroot-path", f"{of.base}/{plan.host}/static", "-d", plan.host),
    ]


def _url(plan: Plan) -> str:
    return f"{'http' if plan.of.tls == 'none' else 'https'}://{plan.host}/"


def _fetch(plan: Plan) -> None:
    """The page of the first site, from this machine; raises Problem when it is not what it is."""
    wanted = f"{plan.host} is served by mod_wsgi_van\n"
    if plan.of.site_user == "owner":
        wanted = "There is no such site here.\n"
    end = time.monotonic() + _ANSWERS_WITHIN
    while (answer := _answer(plan)) != wanted:
        if plan.of.tls == "mod_md" and "503 Service Unavailable" in answer:
            plan.say(
                "Apache is asking for the certificate: its error log says when it has it; then"
            )
            plan.say("  " + " ".join(debian.reloading()))
            return
        log = Path(plan.of.log, "error.log")
        if not debian.runs():
            raise Problem(f"Apache has ended: {' / '.join(_last(log))}")
        if time.monotonic() > end:
            raise Problem(f"{_url(plan)} answers {answer!r} on this machine; see {log}")
        time.sleep(0.1)


def _last(log: Path) -> list[str]:
    """The last lines of a log of any size."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            return file.read().decode(errors="replace").splitlines()[-4:]
    except OSError:
        return []


def _answer(plan: Plan) -> str:
    try:
        connection = _connection(plan)
        connection.request("GET", "/", headers={"Host": plan.host})
        return connection.getresponse().read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def _connection(plan: Plan) -> http.client.HTTPConnection:
    if plan.of.tls == "none":
        return http.client.HTTPConnection("127.0.0.1", timeout=_PATIENCE)
    # Whether browsers trust the certificate is the doctor's question: here it may be a new one.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPConnection("127.0.0.1", 443, timeout=_PATIENCE)
    plain = socket.create_connection(("127.0.0.1", 443), _PATIENCE)
    connection.sock = context.wrap_socket(plain, server_hostname=plan.host)
    return connection
