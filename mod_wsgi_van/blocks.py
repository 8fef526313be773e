"""The blocks of configuration that ``setup`` writes, ``config`` prints and the manual shows.

Pure text: nothing here looks at the machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mod_wsgi_van.settings import Settings

_STATUS = Settings.status_directory
_LOG_FORMAT = r'LogFormat "%V %h %l %u %t \"%r\" %>s %O %D" van'

TLS = ("none", "files", "certbot", "mod_md")

# What the router takes for a host name; IPv6 addresses keep their brackets here.
_NAME = r"^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])$"

_REFUSING = (
    "RewriteEngine On",
    f'RewriteCond "%{{SERVER_NAME}}" "!{_NAME}" [NC]',
    'RewriteRule "^" "-" [R=400,L]',
)


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything is, as absolute paths; the defaults are what the manual uses."""

    domain: str = "domain.org"
    base: str = "/var/www"
    etc: str = "/etc/mod_wsgi_van"
    home: str = "/opt/mod_wsgi_van"  # the environment that has this package
    user: str = "www-data"
    group: str = "www-data"
    log: str = "/var/log/apache2"
    threads: int = 32
    tls: str = "none"
    certificate: str = ""  # "" for Let's Encrypt's place
    key: str = ""
    email: str = ""  # of whom Let's Encrypt asks, for mod_md
    site_user: str = "daemon"

    def __post_init__(self) -> None:
        """Raises ValueError: no text of the caller's may become a directive."""
        if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9-]+(\.[a-z0-9-]+)*", self.domain):
            raise ValueError(f"{self.domain!r} is not a domain in lower case, such as domain.org")
        places = (self.base, self.etc, self.home, self.log)
        for path in (*places, *filter(None, (self.certificate, self.key))):
            # mod_rewrite has no quoting that holds in a condition and in a substitution alike.
            if not re.fullmatch(r"(/[A-Za-z0-9_.+@-]+)+", path):
                raise ValueError(f"{path!r} is not an absolute path of letters, digits and _./+@-")
        if self.tls not in TLS:
            raise ValueError(f"tls={self.tls!r}: allowed are {', '.join(TLS)}")
        if not re.fullmatch(r"([A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+)?", self.email):
            raise ValueError(f"{self.email!r} is not a mail address")


def wsgi_file() -> str:
    """The script that mod_wsgi runs; its settings are in van.toml."""
    return "from mod_wsgi_van import Router\n\napplication = Router.from_config().application\n"


def van_toml(of: Installation) -> str:
    """The settings for all sites."""
    owner = f'site_user = "owner"\ndaemon_user = "{of.user}"\n' if of.site_user == "owner" else ""
    return f'''\
# Settings of mod_wsgi_van; `mod-wsgi-van help settings` explains all of them.
base_path = "{of.base}"
{owner}'''


def first_site() -> str:
    """An application that says that all works."""
    return """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{environ['HTTP_HOST']} is served by mod_wsgi_van\\n".encode()]
"""


def apache(of: Installation) -> str:
    """The site of Apache: directives of the server, then one or two virtual hosts."""
    server = [
        "WSGIRestrictEmbedded On",
        "WSGIDaemonProcess mod_wsgi_van processes=1"
        f" threads={of.threads} user={of.user} group={of.group} \\",
        "    maximum-requests=100000 display-name=%{GROUP} lang=C.UTF-8 locale=C.UTF-8 \\",
        f"    python-home={of.home} python-path={of.etc}",
        _LOG_FORMAT,
    ]
    if of.tls == "none":
        hosts = [_host(of, 80, _sites(of))]
    else:
        hosts = [_host(of, 80, _redirect(of)), _host(of, 443, [*_certificate(of), *_sites(of)])]
    managed = _managed(of) if of.tls == "mod_md" else []
    return "\n".join([*server, *managed, *hosts]) + "\n"


def embedded(of: Installation) -> str:
    """The same without a daemon process: a router in each of Apache's own processes."""
    inner = [line for line in _sites(of) if not line.startswith("WSGIProcessGroup")]
    server = [f"WSGIPythonHome {of.home}", f"WSGIPythonPath {of.etc}", _LOG_FORMAT]
    return "\n".join([*server, _host(of, 80, inner)]) + "\n"


def _host(of: Installation, port: int, inner: list[str]) -> str:
    lines = [
        f"ServerName {of.domain}",
        f"ServerAlias *.{of.domain}",
        "UseCanonicalName Off",
        *inner,
    ]
    text = "\n".join(f"    {line}" if line else "" for line in lines)
    return f"\n<VirtualHost *:{port}>\n{text}\n</VirtualHost>"


def _sites(of: Installation) -> list[str]:
    return [
        f'VirtualDocumentRoot "{of.base}/%0/static"',
        f"CustomLog {of.log}/van.log van",
        "",
        "WSGIProcessGroup mod_wsgi_van",
        "WSGIApplicationGroup %{GLOBAL}",
        f"WSGIScriptAlias / {of.etc}/app.wsgi",
        "WSGIPassAuthorization On",
        "WSGIChunkedRequest On",
        "<IfModule reqtimeout_module>",
        "    RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500",
        "</IfModule>",
        "",
        *_REFUSING,
        r'RewriteCond "%{REQUEST_URI}" "!/\.(?!well-known/)"',
        f'RewriteCond "{of.base}/%{{SERVER_NAME}}/static%{{REQUEST_URI}}" -f',
        f'RewriteRule "^/(.+)" "{of.base}/%{{SERVER_NAME}}/static/$1" [L]',
        "",
        *_directory(of),
        f"<Directory {of.etc}>",
        "    Require all granted",
        "</Directory>",
    ]


def _directory(of: Installation) -> list[str]:
    return [
        f"<Directory {of.base}>",
        "    Options FollowSymLinks",
        "    AllowOverride None",
        "    Require all granted",
        "</Directory>",
    ]


def _redirect(of: Installation) -> list[str]:
    """To HTTPS, but for what a certificate authority asks for."""
    return [
        f'VirtualDocumentRoot "{of.base}/%0/static"',
        "",
        *_REFUSING,
        r'RewriteCond "%{REQUEST_URI}" "!^/\.well-known/acme-challenge/"',
        'RewriteRule "^" "https://%{SERVER_NAME}%{REQUEST_URI}" [R=301,L]',
        "",
        *_directory(of),
    ]


def certificate(of: Installation) -> tuple[str, str]:
    """The files of certificate and key."""
    live = f"/etc/letsencrypt/live/{of.domain}"
    return of.certificate or f"{live}/fullchain.pem", of.key or f"{live}/privkey.pem"


def _certificate(of: Installation) -> list[str]:
    lines = ["Protocols h2 http/1.1", "SSLEngine On"]
    if of.tls != "mod_md":
        public, key = certificate(of)
        lines += [f"SSLCertificateFile {public}", f"SSLCertificateKeyFile {key}"]
    return [*lines, ""]


def _managed(of: Installation) -> list[str]:
    """One certificate for all sites; a wildcard is only given for a record in the DNS."""
    return [
        "",
        f"MDContactEmail {of.email or 'webmaster@' + of.domain}",
        "MDCertificateAgreement accepted",
        "MDCAChallenges dns-01",
        f"MDChallengeDns01 {of.etc}/dns01",
        f"MDomain {of.domain} *.{of.domain}",
    ]


def systemd() -> str:
    """A drop-in of apache2.service: descriptors for workers and watches."""
    return "[Service]\nLimitNOFILE=65536\n"


def spawner(of: Installation) -> str:
    """A service that starts the workers of sites as their owners.

    What it has started outlives it, and belongs to Apache: when it ends, nothing else is killed.
    """
    return f"""\
[Unit]
Description=Starts the workers of mod_wsgi_van as the owners of their sites
Before=apache2.service httpd.service

[Service]
ExecStart={of.home}/bin/mod-wsgi-van spawner --config {of.etc}/van.toml
Restart=always
KillMode=process
RuntimeDirectory=mod_wsgi_van
RuntimeDirectoryPreserve=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN CAP_DAC_READ_SEARCH
LimitNOFILE=65536
TasksMax=infinity
# Limits of workers by control groups; systemd before 254 ignores the second line, and then the
# limits are those of setrlimit(2).
Delegate=memory pids cpu
DelegateSubgroup=spawner

[Install]
WantedBy=multi-user.target
"""


def dashboard(of: Installation) -> str:
    """A service that serves the dashboard, as a user that has no right but to ask the daemon."""
    return f"""\
[Unit]
Description=Dashboard and metrics of mod_wsgi_van

[Service]
ExecStart={of.home}/bin/mod-wsgi-van dashboard --config {of.etc}/van.toml
Restart=always
DynamicUser=yes
SupplementaryGroups={of.group}
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
ProtectHome=yes
PrivateDevices=yes

[Install]
WantedBy=multi-user.target
"""


def tmpfiles(of: Installation) -> str:
    """For systemd-tmpfiles, which makes at each boot what it names: where the daemon listens."""
    return f"d {_STATUS} 0755 {of.user} {of.group} -\n"


def logrotate(of: Installation) -> str:
    """Debian's rules for Apache, but the daemon process is kept: files are copied and emptied."""
    return f"""\
{of.log}/*.log {{
    daily
    missingok
    rotate 14
    compress
    delaycompress
    notifempty
    copytruncate
    su root adm
}}
"""
