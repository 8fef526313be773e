"""Apache's configuration, as far as the doctor reads it."""

from __future__ import annotations

from pathlib import Path

from mod_wsgi_van.cli.doctor.directives import Directive, Reading, Server

TEXT = """\
# a comment
ServerName a.org
<IfModule mod_ssl.c>
    Listen 443
</IfModule>
<IfModule !ssl_module>
    Listen 80
</IfModule>
<IfDefine Debug>
    LogLevel debug
</IfDefine>
WSGIDaemonProcess van \\
    threads=5 \\
    user=www-data

<VirtualHost *:80>
    ServerName b.org
    <Directory "/var/www">
        Options FollowSymLinks
    </Directory>
    RewriteCond "%{REQUEST_URI}" "!/\\.x"
</VirtualHost>
LogFormat "an odd quote
"""


def read(tmp_path: Path, modules: set[str]) -> list[Directive]:
    path = tmp_path / "httpd.conf"
    path.write_text(TEXT)
    return list(Reading(frozenset(modules), frozenset()).file(path))


def test_what_counts_is_read_with_its_place(tmp_path: Path) -> None:
    found = read(tmp_path, {"ssl"})
    assert [each.name for each in found] == [
        *("servername", "listen", "wsgidaemonprocess", "servername", "options", "rewritecond"),
        "logformat",
    ]
    assert found[1].arguments == ("443",) and found[1].sections == ()
    daemon = found[2]
    assert daemon.arguments == ("van", "threads=5", "user=www-data")
    assert daemon.place == f"{tmp_path}/httpd.conf:12"
    assert found[4].sections[1:] == ('directory "/var/www"',)
    assert found[5].arguments == ("%{REQUEST_URI}", "!/\\.x")


def test_a_section_of_a_module_that_is_not_loaded_does_not_count(tmp_path: Path) -> None:
    assert read(tmp_path, set())[1].arguments == ("80",)


def test_a_virtual_host_goes_before_the_server(tmp_path: Path) -> None:
    server = Server("", frozenset(), tuple(read(tmp_path, set())), "")
    host = server.named("Options")[0].host
    assert host.startswith("virtualhost *:80")
    name = server.effective("ServerName", host)
    assert name and name.arguments == ("b.org",)
    listen = server.effective("Listen", host)
    assert listen and listen.arguments == ("80",)
    assert server.effective("SSLEngine", host) is None


def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert list(Reading(frozenset(), frozenset()).file(tmp_path / "none")) == []
