"""Finds httpd and mod_wsgi on this machine and writes the configuration of a private httpd."""

from __future__ import annotations

import grp
import importlib.util
import mimetypes
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mod_wsgi_van.cli.problem import Unusable

_PROGRAMS = ("apache2", "httpd")
_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")  # not on everybody's PATH
_MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")
_USERS = ("www-data", "apache", "http", "nobody")
_MPMS = ("event", "worker", "prefork")

# httpd gets nothing of the caller's environment but this: PYTHON* and the PATH of an active
# environment change which Python mod_wsgi starts.
ENVIRON = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_PASSED_ON = ("MOD_WSGI_VAN_WATCH", "TMPDIR")

THREADS = 15
SCRIPT = "van.wsgi"


@dataclass(frozen=True, slots=True)
class Apache:
    """An httpd with a mod_wsgi: absolute paths; ``python_home`` "" is mod_wsgi's own choice."""

    program: str
    modules: str
    built_in: frozenset[str]  # sources as httpd -l names them: mod_unixd.c, event.c
    wsgi_module: str
    python_home: str = ""


def find(
    directories: Sequence[str] = _DIRECTORIES, module_directories: Sequence[str] = _MODULES
) -> Apache:
    """Look on PATH and in ``directories``; raises Unusable when something is missing."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *directories])
    program = next(filter(None, (shutil.which(name, path=path) for name in _PROGRAMS)), None)
    if program is None:
        raise Unusable("there is no Apache httpd (apt install apache2)")
    holding = (each for each in module_directories if Path(each, "mod_authz_core.so").exists())
    modules = next(holding, None)
    if modules is None:
        raise Unusable(f"the modules of {program} are in none of {', '.join(module_directories)}")
    wsgi_module, python_home = _mod_wsgi(Path(modules))
    return Apache(program, modules, _built_in(program), wsgi_module, python_home)


def _mod_wsgi(modules: Path) -> tuple[str, str]:
    """The package of PyPI, which was built for this Python, or else that of the distribution.

    Returns the module and WSGIPythonHome.
    """
    spec = importlib.util.find_spec("mod_wsgi")
    for directory in spec.submodule_search_locations or () if spec else ():
        for module in Path(directory).glob("server/mod_wsgi-*.so"):
            return str(module), sys.base_prefix
    for name in ("mod_wsgi.so", "mod_wsgi_python3.so"):
        if (modules / name).exists():
            return str(modules / name), ""
    raise Unusable(
        "Apache has no mod_wsgi (apt install libapache2-mod-wsgi-py3, or pip install mod_wsgi)"
    )


def _built_in(program: str) -> frozenset[str]:
    listing = subprocess.run([program, "-l"], capture_output=True, text=True, env=environ())
    return frozenset(listing.stdout.split())


def environ() -> dict[str, str]:
    """The environment of httpd."""
    return ENVIRON | {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def daemon_user() -> str:
    """Whom httpd runs applications as: "" for the caller, who is not root.

    Raises Unusable when root's httpd would have nobody to become.
    """
    if os.geteuid() != 0:
        return ""
    known = {each.pw_name for each in pwd.getpwall()}
    if user := next(filter(known.__contains__, _USERS), ""):
        return user
    raise Unusable(f"httpd does not serve as root, and there is no user {', '.join(_USERS)}")


def check_readable(user: str, path: str) -> None:
    """Raises Unusable unless ``user`` (as from daemon_user) can list and enter the directory."""
    if not user:
        return
    entry = pwd.getpwnam(user)
    # In a process of its own: access(2) goes by the real user, and by all directories above.
    answer = subprocess.run(
        ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "sh", path],
        cwd="/",
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
    )
    if answer.returncode:
        raise Unusable(f"the user {user}, as whom root's httpd serves, cannot read {path}")


@dataclass(frozen=True, slots=True)
class Private:
    """A private httpd: what it is to serve, from where and as whom."""

    root: Path  # its ServerRoot, with van.wsgi, run/ for its own files and python/ for imports
    listen: str  # address:port
    user: str  # as from daemon_user
    static: str  # base path of sites whose static/ it serves itself, "" for none


def static(settings: Mapping[str, Any]) -> str:
    """The base path where the manual's way to serve static files fits, "" elsewhere.

    mod_rewrite knows the whole host name but not the parts of a pattern. It has no quoting that
    holds in a condition and in a substitution alike.
    """
    base = str(settings["base_path"])
    whole_name = settings.get("vhost_pattern", "%0") == "%0"
    return base if whole_name and not re.search(r'[%$\\"]', base) else ""


def configuration(apache: Apache, private: Private) -> str:
    """The text of httpd.conf."""
    root = private.root
    lines = [
        *_load_modules(apache),
        f"ServerRoot {quoted(root)}",
        f"DefaultRuntimeDir {quoted(root / 'run')}",
        f"PidFile {quoted(root / 'run/httpd.pid')}",
        "ErrorLog /dev/stderr",
        'ErrorLogFormat "%M"',
        "LogLevel warn",
        "ServerName localhost",
        f"Listen {private.listen}",
        *_user(private.user),
        *_wsgi(apache, root),
        *(_static(private.static) if private.static and _has(apache, "rewrite") else ()),
        *(f"TypesConfig {quoted(types)}" for types in _mime_types(apache)),
    ]
    return "\n".join([*lines, ""])


def _has(apache: Apache, module: str) -> bool:
    return f"mod_{module}.c" in apache.built_in or _shared(apache, module).exists()


def _shared(apache: Apache, module: str) -> Path:
    return Path(apache.modules, f"mod_{module}.so")


def _load_modules(apache: Apache) -> list[str]:
    names = ["unixd", "authz_core", *(name for name in ("rewrite", "mime") if _has(apache, name))]
    if not any(f"{mpm}.c" in apache.built_in for mpm in _MPMS):
        names += [f"mpm_{mpm}" for mpm in _MPMS if _has(apache, f"mpm_{mpm}")][:1]
    return [
        f"LoadModule {name}_module {quoted(_shared(apache, name))}"
        for name in names
        if f"mod_{name}.c" not in apache.built_in
    ] + [f"LoadModule wsgi_module {quoted(apache.wsgi_module)}"]


def _user(user: str) -> list[str]:
    if not user:
        return []
    return [f"User {user}", f"Group {grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name}"]


def _wsgi(apache: Apache, root: Path) -> list[str]:
    home = [f"WSGIPythonHome {quoted(apache.python_home)}"] if apache.python_home else []
    script = quoted(root / SCRIPT)
    return [
        *home,
        f"WSGISocketPrefix {quoted(root / 'run/wsgi')}",
        "WSGIRestrictEmbedded On",
        f"WSGIDaemonProcess van processes=1 threads={THREADS} display-name=%{{GROUP}}"
        f" lang=C.UTF-8 locale=C.UTF-8 python-path={quoted(root / 'python')}"
        f" home={quoted(root)}",  # without it the daemon does not start where its user has no home
        "WSGIProcessGroup van",
        "WSGIApplicationGroup %{GLOBAL}",
        "WSGIPassAuthorization On",
        "WSGIChunkedRequest On",
        f"WSGIScriptAlias / {script}",
        # Import the script before the first request: what is wrong is known at once.
        f"WSGIImportScript {script} process-group=van application-group=%{{GLOBAL}}",
        "UseCanonicalName Off",
        "<Directory />",
        "  Options FollowSymLinks",
        "  AllowOverride None",
        "  Require all granted",
        "</Directory>",
    ]


def _static(base: str) -> list[str]:
    below = base.rstrip("/") + "/%{SERVER_NAME}/static"
    return [
        "RewriteEngine On",
        r'RewriteCond "%{REQUEST_URI}" "!/\.(?!well-known/)"',  # no .git, no .env
        f'RewriteCond "{below}%{{REQUEST_URI}}" -f',
        f'RewriteRule "^/(.+)" "{below}/$1" [L]',
    ]


def _mime_types(apache: Apache) -> list[str]:
    """The file that mod_mime cannot do without, where there is mod_mime."""
    known = (str(path) for path in mimetypes.knownfiles if Path(path).exists())
    return [next(known, os.devnull)] if _has(apache, "mime") else []


def quoted(argument: str | Path) -> str:
    """Quote an argument for httpd.conf."""
    escaped = str(argument).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
