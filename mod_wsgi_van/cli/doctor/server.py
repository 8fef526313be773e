"""Checks of Apache, mod_wsgi and the daemon process that runs the router."""

from __future__ import annotations

import http.client
import os
import pwd
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mod_wsgi_van.cli import debian
from mod_wsgi_van.cli.apache import Apache
from mod_wsgi_van.cli.doctor import eyes
from mod_wsgi_van.cli.doctor.directives import Directive, Server
from mod_wsgi_van.cli.doctor.finding import Finding, judged
from mod_wsgi_van.errors import LoadError
from mod_wsgi_van.files.reading import read

_PATIENCE = 15.0  # seconds for an answer
_SIZE = 1 << 20  # bytes of a wsgi file
_RELOAD = "then systemctl reload apache2"


@dataclass(frozen=True, slots=True)
class Daemon:
    """The process group that serves the sites, as the configuration has it."""

    script: str
    host: str  # the virtual host with its place, "" at server level
    user: str
    process_group: str  # its name, "" in embedded mode
    application_group: str
    group: Directive | None  # its WSGIDaemonProcess; None in embedded mode, or where there is none

    def option(self, name: str) -> str:
        found = self.group.arguments[1:] if self.group else ()
        values = [each.partition("=")[2] for each in found if each.startswith(f"{name}=")]
        return values[-1] if values else ""


def daemons(server: Server) -> list[Daemon]:
    """Where a script that imports mod_wsgi_van is mounted: one for each virtual host."""
    found: dict[str, Daemon] = {}
    for alias in (*server.named("WSGIScriptAlias"), *server.named("WSGIScriptAliasMatch")):
        script = alias.arguments[1] if len(alias.arguments) > 1 else ""
        if "mod_wsgi_van" in _text(script) or "mod_wsgi_van" in script:
            found.setdefault(alias.host, _daemon(server, script, alias))
    return list(found.values())


def _daemon(server: Server, script: str, alias: Directive) -> Daemon:
    def chosen(directive: str, option: str) -> str:
        """By an option of the alias, or else by a directive."""
        found = server.effective(directive, alias.host)
        names = [each.partition("=")[2] for each in alias.arguments if each.startswith(option)]
        return (names or list(found.arguments if found else ()) or [""])[0]

    name = chosen("WSGIProcessGroup", "process-group=")
    application_group = chosen("WSGIApplicationGroup", "application-group=")
    groups = server.named("WSGIDaemonProcess")
    # %{ENV:...} is chosen for each request: any of them tells.
    named = (each for each in groups if each.arguments[:1] == (name,) or name.startswith("%{ENV"))
    group = next(named, None)
    given = [each[5:] for each in (group.arguments if group else ()) if each.startswith("user=")]
    user = _user(given[-1]) if given else ""
    name = "" if name == "%{GLOBAL}" else name
    return Daemon(script, alias.host, user or server.user, name, application_group, group)


def _user(given: str) -> str:
    """The name of a user as mod_wsgi takes it, "" for a variable of Apache's."""
    try:
        if given.startswith("#"):
            return pwd.getpwuid(int(given[1:])).pw_name
        return pwd.getpwnam(given).pw_name
    except (ValueError, KeyError):
        return ""


def general(server: Server) -> Iterator[Finding]:
    """Checks that need no site of ours."""
    says = server.fault
    yield judged("configtest", "Apache's configuration is valid", says, "mend what is named first")
    if says:
        return
    says = "" if "wsgi" in server.modules else "mod_wsgi is not loaded"
    remedy = f"apt install libapache2-mod-wsgi-py3; a2enmod wsgi, {_RELOAD}"
    yield judged("module-wsgi", "Apache has mod_wsgi", says, remedy)
    prefork = "mpm_prefork" in server.modules
    yield judged(
        "mpm",
        "Apache's processes have threads",
        "mpm_prefork needs one process for each connection" if prefork else "",
        "a2dismod mpm_prefork && a2enmod mpm_event, then systemctl restart apache2",
        state="warning",
    )
    yield _runs(server)


def _runs(server: Server) -> Finding:
    says = ""
    try:
        os.kill(int(Path(server.pid_file).read_text()), 0)
    except PermissionError:
        pass
    except (OSError, ValueError):
        says = f"no process is named in {server.pid_file}"
    return judged("runs", "Apache runs", says, "systemctl start apache2")


def ours(server: Server) -> Finding:
    """Whether Apache serves sites with mod_wsgi_van at all."""
    says = "" if daemons(server) else "no WSGIScriptAlias leads to a script with mod_wsgi_van"
    remedy = "mod-wsgi-van setup --domain YOUR.DOMAIN, or a2ensite van where it was run before"
    return judged("site-of-apache", "a site of Apache leads to mod_wsgi_van", says, remedy)


def configured(server: Server, daemon: Daemon) -> Iterator[Finding]:
    """Checks of the directives around one router."""
    yield from _process_group(server, daemon)
    yield from _required(server, daemon)
    yield _document_root(server, daemon)
    yield _hidden(server, daemon)
    rewrites = server.named("RewriteRule", daemon.host)
    yield judged(
        "rewrite",
        "RewriteEngine is on where there are rules",
        "there are RewriteRules, but RewriteEngine is not On"
        if rewrites and not _is_on(server, "RewriteEngine", daemon.host)
        else "",
        f"write RewriteEngine On before the rules, {_RELOAD}",
    )


def _is_on(server: Server, name: str, host: str) -> bool:
    found = server.effective(name, host)
    return bool(found and found.arguments and found.arguments[0].lower() == "on")


def _process_group(server: Server, daemon: Daemon) -> Iterator[Finding]:
    check = "the router runs in a daemon process"
    if not daemon.process_group:
        says = "there is no WSGIProcessGroup, so each process of Apache would load every site"
        remedy = f"write WSGIProcessGroup mod_wsgi_van into the virtual host, {_RELOAD}"
        yield judged("embedded", check, says, remedy, state="warning")
        return
    if daemon.group is None:
        says = f"the process group {daemon.process_group} has no WSGIDaemonProcess"
        yield judged("process-group", check, says, f"give both the same name, {_RELOAD}")
        return
    yield judged("process-group", check, "", "")
    inside = daemon.group.host
    yield judged(
        "daemon-inside",
        "WSGIDaemonProcess stands outside of <VirtualHost>",
        f"it stands inside ({daemon.group.place}): a copy of the host, as certbot makes one, is"
        " refused"
        if inside
        else "",
        f"move the line above <VirtualHost>, {_RELOAD}",
        state="warning",
    )
    lacks = [each for each in ("lang", "locale") if not daemon.option(each)]
    yield judged(
        "locale",
        "the daemon process reads text as UTF-8",
        f"{' and '.join(lacks)} are not set: Python reads text as ASCII" if lacks else "",
        f"add lang=C.UTF-8 locale=C.UTF-8 to {daemon.group.place}, {_RELOAD}",
        state="warning",
    )
    threads = daemon.option("threads") or "15"
    few = threads.isdigit() and int(threads) < 5
    yield judged(
        "threads",
        "the daemon process has threads for several sites",
        f"it has {threads}: as many slow requests stop all sites" if few else "",
        f"write threads=32 in {daemon.group.place}, {_RELOAD}",
        state="warning",
    )


def _required(server: Server, daemon: Daemon) -> Iterator[Finding]:
    is_global = daemon.application_group == "%{GLOBAL}"
    yield judged(
        "application-group",
        "all sites share one interpreter of mod_wsgi",
        "" if is_global else "WSGIApplicationGroup is not %{GLOBAL}: a router for each name",
        f"write WSGIApplicationGroup %{{GLOBAL}}, {_RELOAD}",
    )
    canonical = server.effective("UseCanonicalName", daemon.host)
    off = canonical is None or canonical.arguments[:1] in (("Off",), ("off",))
    yield judged(
        "canonical-name",
        "Apache takes the name of the site from the request",
        "" if off else f"UseCanonicalName is not Off ({canonical.place if canonical else ''})",
        f"write UseCanonicalName Off, {_RELOAD}",
    )
    for directive, lost in (
        ("WSGIPassAuthorization", "applications do not get the header Authorization"),
        ("WSGIChunkedRequest", "requests without Content-Length get 411"),
    ):
        on = _is_on(server, directive, daemon.host)
        says = "" if on else f"{directive} is not On: {lost}"
        remedy = f"write {directive} On, {_RELOAD}"
        yield judged(directive, f"{directive} is On", says, remedy, state="warning")


def _document_root(server: Server, daemon: Daemon) -> Finding:
    check = "Apache publishes only static files"
    found = server.effective("VirtualDocumentRoot", daemon.host)
    root = found.arguments[0].rstrip("/") if found and found.arguments else ""
    open_to_all = root.endswith(("%0", "%1", "%2", "%-1", "%-2"))
    says = f"VirtualDocumentRoot {root} publishes the code of every site" if open_to_all else ""
    remedy = f"write VirtualDocumentRoot {root}/static, {_RELOAD}"
    return judged("document-root", check, says, remedy)


def _hidden(server: Server, daemon: Daemon) -> Finding:
    aliases = [name for each in server.named("ServerAlias", daemon.host) for name in each.arguments]
    conditions = [each.arguments for each in server.named("RewriteCond", daemon.host)]
    refused = any(each[:1] == ("%{SERVER_NAME}",) for each in conditions)
    return judged(
        "hidden-hosts",
        "Apache refuses host names that begin with a dot",
        "" if refused or "*" not in aliases else "ServerAlias * lets Host: .sites through",
        "take the RewriteCond on %{SERVER_NAME} from mod-wsgi-van config apache, " + _RELOAD,
        state="warning",
    )


def python(server: Server, found: Apache, daemon: Daemon) -> Iterator[Finding]:
    """Checks of the environment that the daemon process imports the router from."""
    home = daemon.option("python-home")
    check = "the daemon process finds mod_wsgi_van"
    if not home:
        yield judged(
            "python-home",
            check,
            "WSGIDaemonProcess has no python-home",
            f"add python-home={sys.prefix}, {_RELOAD}",
        )
        return
    module = _loaded(server) or found.wsgi_module
    wanted = debian.python_of(module)
    makes = f"python{wanted[0]}.{wanted[1]} -m venv {home}" if wanted else f"python -m venv {home}"
    says = eyes.look(daemon.user, [(home, os.R_OK | os.X_OK)])[0]
    yield judged("python-home", f"{home} is there", says, f"{makes}; it must be open to all users")
    if says:
        return
    lib = f"{home}/lib/python{wanted[0]}.{wanted[1]}" if wanted else ""
    others = sorted(each.name for each in Path(home, "lib").glob("python*"))
    if wanted and not os.path.isdir(lib):
        says = f"mod_wsgi has Python {wanted[0]}.{wanted[1]}, {home} has {', '.join(others)}"
    yield judged("python-version", f"{home} is of mod_wsgi's Python", says, f"{makes} --clear")
    if says:
        return
    yield from _packages(home, lib or f"{home}/lib/{others[0]}", daemon.user)
    yield _versions(server, module, daemon)


def _packages(home: str, lib: str, user: str) -> Iterator[Finding]:
    for package in ("mod_wsgi_van", "watchdog"):
        places = [f"{lib}/site-packages/{package}", f"{lib}/dist-packages/{package}"]
        editable = list(Path(lib, "site-packages").glob(f"*{package}*.pth"))
        there = next((each for each in places if os.path.isdir(each)), "")
        says = f"{home} has no {package}" if not there and not editable else ""
        if there:
            says = eyes.look(user, [(f"{there}/__init__.py", os.R_OK)])[0]
        remedy = f"{home}/bin/pip install mod-wsgi-van, with a umask of 022"
        yield judged(f"package-{package}", f"{home} has {package}", says, remedy)


def _loaded(server: Server) -> str:
    """The shared object that is Apache's mod_wsgi; it need not be the distribution's."""
    for each in server.named("LoadModule"):
        if each.arguments[:1] == ("wsgi_module",) and os.path.isfile(each.arguments[-1]):
            return each.arguments[-1]
    return ""


def _versions(server: Server, module: str, daemon: Daemon) -> Finding:
    """Versions with known faults."""
    faulty = re.search(rb"\0(6\.0\.[0-4])\0", Path(module).read_bytes())
    reloading = server.effective("WSGIScriptReloading", daemon.host)
    says = ""
    if faulty and reloading and reloading.arguments[:1] == ("Off",):
        says = "mod_wsgi 6.0.0 to 6.0.4 damage bodies with WSGIScriptReloading Off"
    config = _text(f"{daemon.option('python-home')}/pyvenv.cfg")
    made = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)\.(\d+)", config, re.MULTILINE)
    if made and (3, 14, 0) <= tuple(map(int, made.groups())) <= (3, 14, 4):
        says = f"Python {'.'.join(made.groups())} collects garbage in steps and keeps much of it"
    remedy = "upgrade to mod_wsgi 6.1 or Python 3.14.5, or later"
    return judged("known-faults", "no version has a known fault", says, remedy, state="warning")


def script(daemon: Daemon) -> Finding:
    """Whether the wsgi file can be read and compiled."""
    check = f"the wsgi file {daemon.script} is sound"
    remedy = "mod-wsgi-van setup writes one; or see mod-wsgi-van help apache"
    if says := eyes.look(daemon.user, [(daemon.script, os.R_OK)])[0]:
        return judged("wsgi-file", check, says, remedy)
    try:
        compile(_text(daemon.script), daemon.script, "exec")
    except (SyntaxError, ValueError) as error:
        return judged("wsgi-file", check, f"{error}", remedy)
    return judged("wsgi-file", check, "", "")


def _text(path: str) -> str:
    """A file of whoever wrote the configuration: regular and of a sane size, or not read."""
    try:
        return read(path, _SIZE) or ""
    except (LoadError, OSError):
        return ""


def answers(server: Server, daemon: Daemon) -> Iterator[Finding]:
    """Asks the virtual host for a site that does not exist: the router says 404."""
    secure = _is_on(server, "SSLEngine", daemon.host)
    match = re.match(r"virtualhost (\S*):(\d+)", daemon.host)
    port = int(match[2]) if match else 80
    address = "127.0.0.1" if not match or match[1] in ("*", "_default_") else match[1].strip("[]")
    names = [each.arguments[0] for each in server.named("ServerName", daemon.host)]
    aliases = [name for each in server.named("ServerAlias", daemon.host) for name in each.arguments]
    wild = next((name.lstrip("*.") for name in aliases if name.startswith("*.")), "")
    host = f"van-doctor.{wild}" if wild else (names or ["van-doctor.invalid"])[0]
    says, certificate = _ask((address, port), host, secure)
    remedy = "read Apache's error log; 403 wants Require all granted for the wsgi file's directory"
    check = "the router answers through Apache"
    if " 503 " in says and server.named("MDomain"):
        says, remedy = "mod_md has no certificate yet", "read Apache's error log, " + _RELOAD
        yield judged("answers", check, says, remedy, state="warning")
        return
    yield judged("answers", check, says, remedy)
    if secure:
        remedy = "mod-wsgi-van help apache, HTTPS; certbot renew"
        check = f"browsers trust the certificate for {host}"
        yield judged("certificate", check, certificate, remedy, state="warning")


def _ask(place: tuple[str, int], host: str, secure: bool) -> tuple[str, str]:
    """What is wrong with the answer for ``host``, and what with the certificate."""
    untrusted = ""
    for check in (True, False) if secure else (False,):
        connection = http.client.HTTPConnection(*place, timeout=_PATIENCE)
        try:
            if secure:
                plain = socket.create_connection(place, _PATIENCE)
                connection.sock = _context(check).wrap_socket(plain, server_hostname=host)
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read(1000)
        except ssl.SSLCertVerificationError as error:
            untrusted = error.verify_message
            continue
        except (OSError, http.client.HTTPException) as error:
            return f"{place[0]}:{place[1]}: {error or type(error).__name__}", untrusted
        finally:
            connection.close()
        if b"no such site" in body or answer.status < 400:
            return "", untrusted
        return f"a request for {host} gets {answer.status} {answer.reason}", untrusted
    return "", untrusted


def _context(check: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
