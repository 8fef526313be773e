"""The blocks of configuration: no text of the caller's becomes a directive."""

from __future__ import annotations

from typing import Any

import pytest

from mod_wsgi_van import blocks
from mod_wsgi_van.blocks import Installation


@pytest.mark.parametrize(
    "wrong",
    [
        {"domain": "Domain.org"},
        {"domain": "a.org\nInclude /etc/passwd"},
        {"domain": "a..org"},
        {"domain": ""},
        {"domain": "a" * 254},
        {"base": "/var/$x"},
        {"base": "sites"},
        {"base": '/srv/"'},
        {"home": "/opt/a b"},
        {"certificate": "x.pem"},
        {"tls": "always"},
        {"email": "a b@c"},
    ],
)
def test_what_would_be_another_directive_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Installation(**wrong)


@pytest.mark.parametrize("tls", blocks.TLS)
def test_every_variant_has_one_daemon_process_at_server_level(tls: str) -> None:
    text = blocks.apache(Installation(tls=tls))
    assert text.count("WSGIDaemonProcess") == 1
    assert text.index("WSGIDaemonProcess") < text.index("<VirtualHost")
    assert text.count("<VirtualHost *:443>") == (tls != "none")
    assert text.count("WSGIScriptAlias") == 1


def test_all_paths_are_those_of_the_installation() -> None:
    of = Installation(domain="a.test", base="/b", etc="/e", home="/h", log="/l", tls="files")
    text = blocks.apache(of) + blocks.embedded(of) + blocks.logrotate(of) + blocks.van_toml(of)
    for default in ("domain.org", "/var/", "/etc/mod_wsgi_van", "/opt/"):
        assert default not in text
