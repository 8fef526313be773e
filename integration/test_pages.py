"""Every block of Apache's directives in the manual is valid and does what its page says."""

from __future__ import annotations

import base64
import grp
import os
import pwd
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.request import Request, urlopen

import pytest
from uv import find_uv_bin

from integration.conftest import Serve
from integration.server import pages, programs
from integration.server.configuration import Changes
from integration.server.httpd import ENVIRON, daemons
from integration.server.running import Running
from mod_wsgi_van import manual
from tests.support.answer import Answer
from tests.support.connection import free_port, raw
from tests.support.places import PROJECT, open_directory
from tests.support.waiting import wait

HOST = "one.domain.org"
STAGING = "staging.domain.org"

SHOW = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/busy":
        start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"busy"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("HTTP_AUTHORIZATION", "REMOTE_USER", "REMOTE_ADDR", "wsgi.url_scheme", "PATH_INFO")
    lines = [f"{name}={environ.get(name)}" for name in names]
    body = environ["wsgi.input"].read()
    return ["\\n".join([*lines, f"body={body!r}"]).encode()]
"""


def with_block(name: str) -> tuple[str, str]:
    """The change that an administrator makes to the virtual host, as the page says."""
    text = pages.block(name)
    if text.startswith("Rewrite"):
        return "RewriteEngine On\n", f"RewriteEngine On\n{text}"
    return "</VirtualHost>", f"{text}</VirtualHost>"


def deploy(running: Running, host: str = HOST) -> Path:
    """A site that shows its environ, with a static file /where.txt."""
    built = running.tree.deploy(host, "plain")
    (built / "wsgi/app.py").write_text(SHOW)
    return built


def ask(running: Running, path: str = "/", host: str = HOST, *headers: str) -> Answer:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "Connection: close", "", ""]
    return raw(running.port, "\r\n".join(lines).encode())


def configtest(running: Running) -> str:
    """What ``apachectl configtest`` says of the server's configuration."""
    program = programs.httpd()
    assert program is not None
    root = running.httpd.root
    done = subprocess.run(
        [program, "-t", "-d", str(root), "-f", str(root / "httpd.conf")],
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.strip()


def daemon(serve: Serve) -> None:
    running = serve("daemon")
    built = deploy(running)
    for name in (".git/config", ".env", ".well-known/acme-challenge/token"):
        path = built / "static" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a file")
    assert ask(running, "/where.txt").body == "one 1\n"
    assert ask(running, "/.well-known/acme-challenge/token").body == "a file"
    for hidden in ("/.git/config", "/.env", "/%2eenv", "/x/../.env", "//.env"):
        assert "PATH_INFO=" in ask(running, hidden).body, hidden
    assert "HTTP_AUTHORIZATION=Bearer x" in ask(running, "/", HOST, "Authorization: Bearer x").body
    chunked = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
    chunked += "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert "body=b'hello'" in raw(running.port, chunked.encode()).body
    (running.layout.base / ".domain.org/static").mkdir(parents=True)
    (running.layout.base / ".domain.org/static/x").write_text("hidden")
    assert ask(running, "/x", ".domain.org").status == 400
    logged(running)


def embedded(serve: Serve) -> None:
    running = serve("embedded")
    deploy(running)
    assert ask(running, "/where.txt").body == "one 1\n"
    assert ask(running).status == 200


def tls(serve: Serve) -> None:
    port = free_port()
    with open_directory() as directory:
        certificate, key = certify(directory)
        text = pages.block("apache:tls")
        text = pages.replaced(
            text,
            ("<VirtualHost *:443>", f"Listen 127.0.0.1:{port}\n<VirtualHost *:{port}>"),
            ("/etc/letsencrypt/live/domain.org/fullchain.pem", str(certificate)),
            ("/etc/letsencrypt/live/domain.org/privkey.pem", str(key)),
        )
        plain = pages.block(pages.DAEMON)
        plain = plain[plain.index("<VirtualHost") :]
        running = serve("daemon", changes=((plain, text),), modules=("ssl",))
        deploy(running)
        moved = ask(running, "/a%20b?c=d", HOST)
        assert moved.status == 301
        assert moved.headers["Location"] == f"https://{HOST}/a%20b?c=d"
        trusted = ssl.create_default_context(cafile=str(certificate))
        trusted.check_hostname = False
        for path, wanted in (("where.txt", "one 1"), ("", "wsgi.url_scheme=https")):
            request = Request(f"https://127.0.0.1:{port}/{path}", headers={"Host": HOST})
            with urlopen(request, context=trusted, timeout=60) as answer:
                assert wanted in answer.read().decode()


def certify(directory: Path) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    certificate, key = directory / "certificate", directory / "key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    subprocess.run(
        [*command.split(), "-subj", "/CN=domain.org", "-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
    )
    return certificate, key


def logged(running: Running) -> None:
    """The log names the site of each request, as it was normalised."""
    ask(running, "/where.txt", "ONE.domain.org:81")
    ask(running, "/there")
    running.httpd.stop()
    lines = (running.layout.root / "van.log").read_text().splitlines()[-2:]
    assert [line.split()[0] for line in lines] == [HOST, HOST]
    assert '"GET /there HTTP/1.1" 200' in lines[1]


def www(serve: Serve) -> None:
    running = serve("daemon", changes=(with_block("vhost:www"),))
    deploy(running)
    moved = ask(running, "/where.txt?x=1", f"WWW.{HOST}")
    assert (moved.status, moved.headers["Location"]) == (301, f"http://{HOST}/where.txt?x=1")
    assert ask(running, "/where.txt").body == "one 1\n"
    assert ask(running).status == 200


def aliases(serve: Serve) -> None:
    """Static files and application of a site under names of which there is no directory."""
    names = ("x.shop.domain.org", "SHOP-domain.org", "shop.domain.org:80")
    wider = ("ServerAlias *.domain.org", "ServerAlias *.domain.org shop-domain.org")
    settings = 'sites={"shop.domain.org": {"aliases": ["*.shop.domain.org", "shop-domain.org"]}}'
    changes = (with_block("vhost:aliases"), wider)
    running = serve("daemon", changes=changes, settings=settings)
    built = deploy(running, "shop.domain.org")
    (built / "static" / ".env").write_text("a file")
    deploy(running)
    for name in names:
        assert ask(running, "/where.txt", name).body == "shop 1\n"
        assert ask(running, "/there", name).status == 200
        assert "PATH_INFO=/.env" in ask(running, "/.env", name).body
    assert ask(running, "/where.txt", HOST).body == "one 1\n"
    assert ask(running, "/", "domain.org").status == 404
    assert len(running.httpd.lines("shop.domain.org: loaded ")) == 1


def maintenance(serve: Serve) -> None:
    refusing = ("</Directory>\n</VirtualHost>", "</Directory>\nRedirect 503 /down\n</VirtualHost>")
    running = serve("daemon", changes=(with_block("vhost:maintenance"), refusing))
    built = deploy(running)
    for path in ("/", "/where.txt"):
        assert ask(running, path).status == 200
    busy = ask(running, "/busy")
    assert (busy.status, busy.body) == (503, "busy")
    down = ask(running, "/down")  # httpd's own, without a page for it
    assert down.status == 503
    assert "PATH_INFO" not in down.body
    (built / "maintenance.html").write_text("back soon")
    for path in ("/", "/where.txt", "/maintenance", "/maintenance.html", "/busy"):
        answer = ask(running, path)
        assert (answer.status, answer.body) == (503, "back soon")
    (built / "maintenance.html").unlink()
    assert ask(running).status == 200


def password(serve: Serve) -> None:
    modules = ("auth_basic", "authn_core", "authn_file", "authz_user")
    running = serve("daemon", changes=(with_block("vhost:password"),), modules=modules)
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "secret"], check=True, capture_output=True, text=True
    ).stdout
    (running.layout.etc / "passwords").write_text(f"ann:{hashed}")
    deploy(running)
    deploy(running, STAGING)
    known = "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()
    for path in ("/", "/where.txt"):
        assert ask(running, path).status == 200
        assert ask(running, path, STAGING).status == 401
        assert ask(running, path, "Staging.domain.org.:80").status == 401
        assert ask(running, path, STAGING, known).status == 200
    said = ask(running, "/", STAGING, known).body
    assert "REMOTE_USER=ann" in said and "HTTP_AUTHORIZATION=Basic " in said


def proxy(serve: Serve) -> None:
    headers = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
    running = serve("daemon", changes=(with_block("vhost:proxy"),))
    deploy(running)
    said = ask(running, "/", HOST, *headers).body
    assert "wsgi.url_scheme=https" in said
    assert "REMOTE_ADDR=192.0.2.7" in said


def untrusted(serve: Serve) -> None:
    headers = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
    old, new = with_block("vhost:proxy")
    stranger = (old, new.replace("127.0.0.1 ::1 ", ""))
    running = serve("daemon", changes=(stranger,))
    deploy(running)
    said = ask(running, "/", HOST, *headers).body
    assert "wsgi.url_scheme=http\n" in said
    assert "REMOTE_ADDR=127.0.0.1" in said


def assets(serve: Serve) -> None:
    block = pages.block(pages.DAEMON)
    alias = "    WSGIScriptAlias / /etc/mod_wsgi_van/app.wsgi\n"
    rules = block[block.index("    RewriteEngine") : block.index("    <Directory /var/www>")]
    changes = ((rules, ""), (alias, pages.block("vhost:assets")))
    running = serve("daemon", changes=changes)
    static = deploy(running) / "static"
    (static / "assets").mkdir()
    (static / "assets/x.txt").write_text("an asset")
    assert ask(running, "/assets/x.txt").body == "an asset"
    assert ask(running, "/assets/none").status == 404
    assert "PATH_INFO=/where.txt" in ask(running, "/where.txt").body


def owners(serve: Serve) -> None:
    """Each site runs as its owner, and no other process group may read it."""
    with open_directory() as directory:
        owned(serve, directory / "owners.txt")


def owned(serve: Serve, map_file: Path) -> None:
    users = {"alice": "games", "bob": "mail", "van": "nobody"}
    hosts = {HOST: "alice", "two.domain.org": "bob", "other.domain.org": "van"}
    map_file.write_text(f"{HOST} alice\ntwo.domain.org bob\n")
    running = serve("daemon", changes=owners_changes(users, map_file))
    for host, owner in hosts.items():
        wsgi = running.tree.deploy(host, "inside") / "wsgi"
        if os.geteuid() == 0:
            os.chown(wsgi, pwd.getpwnam(users[owner]).pw_uid, -1)
            wsgi.chmod(0o700)
    for host, owner in hosts.items():
        said = ask(running, "/", host.upper() + ".:80").json
        assert said["process_group"] == ("van-others" if owner == "van" else f"van-{owner}")
        if os.geteuid() == 0:
            assert said["user"] == users[owner]
    map_file.write_text(f"{HOST} bob\n")
    if os.geteuid() == 0:
        wait(lambda: ask(running).status == 500, "the map is read again", tell=running.httpd.log)
        running.httpd.wait_for_line(f"{HOST}.*VAN015")


def owners_changes(users: dict[str, str], map_file: Path) -> Changes:
    """The page's changes, with ``users`` of this machine in place of its owners."""
    daemon = pages.block(pages.DAEMON)
    line = daemon[daemon.index("WSGIDaemonProcess") : daemon.index("<VirtualHost")]
    processes = pages.block("server:owners")
    for owner, user in users.items():
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
        processes = pages.replaced(
            processes, (f"user={owner} group={owner}", f"user={user} group={group}")
        )
    old, new = with_block("vhost:owners")
    return (
        (line, processes),
        ("WSGIProcessGroup mod_wsgi_van", "WSGIProcessGroup %{ENV:VAN_GROUP}"),
        (old, new.replace("/etc/mod_wsgi_van/owners.txt", str(map_file))),
    )


class Live(BaseRequestHandler):
    """A server that speaks HTTP, or another protocol after it was asked to."""

    def handle(self) -> None:
        lines = self.request.recv(8192).decode().lower()
        if "upgrade: websocket" not in lines:
            head = "200 OK\r\nContent-Length: 4\r\nConnection: close"
            self.request.sendall(f"HTTP/1.1 {head}\r\n\r\nlive".encode())
            return
        head = "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
        self.request.sendall(f"HTTP/1.1 {head}\r\n\r\n".encode())
        self.request.sendall(self.request.recv(100).upper())


def asgi(serve: Serve) -> None:
    """Another server beside the sites, WebSockets included."""
    host = "live.domain.org"
    with ThreadingTCPServer(("127.0.0.1", 0), Live) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        text = pages.replaced(pages.block("server:asgi"), ("127.0.0.1:8001", address))
        begin = "<VirtualHost *:80>"
        changes = ((begin, f"{text}\n{begin}"),)
        running = serve("daemon", changes=changes, modules=("proxy", "proxy_http"))
        deploy(running)
        assert ask(running, "/", host).body == "live"
        assert ask(running, "/where.txt").body == "one 1\n"
        with socket.create_connection(("127.0.0.1", running.port), 20) as client:
            upgrade = "Connection: Upgrade\r\nUpgrade: websocket"
            client.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n\r\n".encode())
            with client.makefile("rb") as answers:
                assert b" 101 " in answers.readline()
                while answers.readline().strip():
                    pass
                client.sendall(b"a message")
                assert answers.read(9) == b"A MESSAGE"
        server.shutdown()


CHECKS: dict[str, Callable[[Serve], None]] = {
    pages.DAEMON: daemon,
    pages.EMBEDDED: embedded,
    "apache:tls": tls,
    "vhost:www": www,
    "vhost:aliases": aliases,
    "vhost:maintenance": maintenance,
    "vhost:password": password,
    "vhost:proxy": proxy,
    "vhost:proxy of another": untrusted,
    "vhost:assets": assets,
    "server:owners": owners,
    "vhost:owners": owners,
    "server:asgi": asgi,
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_block_does_what_the_page_says(name: str, serve: Serve) -> None:
    def checked(mode: str, modules: tuple[str, ...] = (), **how: object) -> Running:
        running = serve(mode, modules=modules, **how)
        assert configtest(running) == "Syntax OK"
        return running

    CHECKS[name](checked)


def test_every_block_is_tested() -> None:
    named = [name for name in pages.blocks() if name not in (pages.WSGI, "dashboard")]
    assert set(named) <= CHECKS.keys()
    for page in pages.PAGES:
        text = page.read_text()
        fences = text.count("```apache\n")
        assert fences == len(re.findall(r"^<!-- \S+ -->\n+```apache\n", text, re.M)), page


def test_a_copied_virtual_host_stays_valid(serve: Serve) -> None:
    """As certbot makes one for :443."""
    block = pages.block(pages.DAEMON)
    host = block[block.index("<VirtualHost") :]
    port = free_port()
    copy = host.replace("<VirtualHost *:80>", f"Listen 127.0.0.1:{port}\n<VirtualHost *:{port}>")
    running = serve("daemon", changes=((host, host + copy),))
    assert configtest(running) == "Syntax OK"
    deploy(running)
    pids = {daemons(running.httpd)[0]}
    for each in (running.port, port):
        request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        assert raw(each, request.encode()).status == 200
    assert set(daemons(running.httpd)) == pids


def test_an_installed_package_brings_the_manual(tmp_path: Path) -> None:
    """As the README installs it, from the working tree."""
    home = tmp_path / "home"
    install = (
        "pip",
        "install",
        "--refresh-package=mod-wsgi-van",
        "--python",
        home / "bin/python",
        PROJECT,
    )
    for command in (("venv", "--python", sys.executable, home), install):
        subprocess.run([find_uv_bin(), "--quiet", *command], check=True, timeout=300)
    shown = [str(home / "bin/mod-wsgi-van"), "help"]
    listed = subprocess.check_output(shown, text=True, cwd=tmp_path).splitlines()
    assert [line.split()[0] for line in listed] == list(manual.pages())
