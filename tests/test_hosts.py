import json
import random
import re
import string
from collections import Counter
from pathlib import Path

import pytest

from mod_wsgi_van.errors import BadHost
from mod_wsgi_van.hosts import LONGEST, Pattern, normalise

OBSERVED = json.loads((Path(__file__).parent / "data" / "vhost_alias.json").read_text())["rows"]
CANONICAL = "main.canon.test"  # the SERVER_NAME of the observed requests without Host


def test_every_observed_row_agrees_or_is_a_400_that_we_know() -> None:
    assert len(OBSERVED) == 580
    refused: Counter[str] = Counter()
    for pattern, host, port, directory in OBSERVED:
        try:
            name = normalise(CANONICAL if host is None else host)
        except BadHost:
            refused[host] += 1
            continue
        path = Pattern(pattern).path("/base", name, port)
        assert path == "/base" + directory, (pattern, host)
    # The only name that Apache lets through and we do not: its first label is empty, so that %0
    # would reach hidden directories and %1 base_path itself.
    assert refused == {".builds": 34}


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("example.org", "example.org"),
        ("WWW.Example.ORG", "www.example.org"),
        ("example.org:8081", "example.org"),
        ("example.org.", "example.org"),
        ("Example.org.:80", "example.org"),
        ("example.org:00080", "example.org"),
        ("localhost", "localhost"),
        ("-x.y", "-x.y"),
        ("_x.a_b", "_x.a_b"),
        ("__pycache__", "__pycache__"),
        ("127.0.0.1:65535", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:99", "::1"),
        ("[2001:DB8::A]", "2001:db8::a"),
        ("[::ffff:1.2.3.4]", "::ffff:1.2.3.4"),
        ("a" * LONGEST, "a" * LONGEST),
        ("a" * LONGEST + ".:65535", "a" * LONGEST),
    ],
)
def test_a_host_is_normalised(raw: str, name: str) -> None:
    assert normalise(raw) == name


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a" * 254, "longer than 253"),
        ("a" * 254 + ":80", "longer than 253"),
        ("a" * 100_000, "longer than 253"),
        ("a/" * 100_000, "longer than 253"),
        (".builds", "between two dots is empty"),
        ("..", "between two dots is empty"),
        ("a..b", "between two dots is empty"),
        ("a..", "between two dots is empty"),
        ("..:80", "between two dots is empty"),
        (":80", "between two dots is empty"),
        ("a/b", "'/' is not allowed"),
        ("../x", "'/' is not allowed"),
        ("a\\b", r"'\\' is not allowed"),
        ("a\0b", r"'\x00' is not allowed"),
        ("a\n", r"'\n' is not allowed"),
        ("a\x7f", r"'\x7f' is not allowed"),
        ("a b", "' ' is not allowed"),
        ("a%2e", "'%' is not allowed"),
        ("user@a", "'@' is not allowed"),
        ("bücher", r"'\xfc' is not allowed"),
        ("\u212a", r"'\u212a' is not allowed"),  # KELVIN SIGN: lower() makes it a plain k
        ("a\u0661", r"'\u0661' is not allowed"),  # ARABIC-INDIC DIGIT ONE
        ("::1", "needs brackets"),
        ("a:b:c", "needs brackets"),
        ("a:", "port is not a number"),
        ("a:8a", "port is not a number"),
        ("a:-1", "port is not a number"),
        ("a:123456", "port is not a number"),
        ("a:\u0661", "port is not a number"),
        ("a:0", "not between 1 and 65535"),
        ("a:65536", "not between 1 and 65535"),
        ("[::1", "IPv6"),
        ("[::1].", "IPv6"),
        ("[::1]:", "IPv6"),
        ("[::1]x", "IPv6"),
        ("[::1]:99999", "not between"),
        ("[]", "IPv6"),
        ("[::::]", "IPv6"),
        ("[..]", "IPv6"),
        ("[1.2.3.4]", "IPv6"),
        ("[fe80::1%25eth0]", "IPv6"),
    ],
)
def test_what_cannot_be_a_vhost_is_refused(raw: str, words: str) -> None:
    with pytest.raises(BadHost) as caught:
        normalise(raw)
    text = str(caught.value)
    assert text.startswith("VAN001: Host '")
    assert words in text
    assert text.isascii() and text.isprintable() and len(text) < 500  # fit for a log


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("%0", "/base/www.example.org"),
        ("/srv/%0", "/srv/www.example.org"),
        ("/srv/%0/", "/srv/www.example.org"),
        ("/%0", "/www.example.org"),
        ("sites/%-2+/X%%y", "/base/sites/www.example/X%y"),
        ("v%p-%1", "/base/v8081-www"),
        ("one", "/base/one"),
        ("/srv/one", "/srv/one"),
        ("%1.2.3", "/base/w.3"),
    ],
)
def test_a_pattern_is_relative_or_absolute(pattern: str, path: str) -> None:
    assert Pattern(pattern).path("/base", "www.example.org", 8081) == path
    assert Pattern(pattern).path("/base/", "www.example.org", 8081) == path


def test_base_may_be_the_root() -> None:
    assert Pattern("%0").path("/", "example.org") == "/example.org"


@pytest.mark.parametrize(
    ("pattern", "uses_port"),
    [("%0", False), ("%p", True), ("%1/%p", True), ("%p/%1", True), ("%%p", False), ("p", False)],
)
def test_a_pattern_tells_whether_it_uses_the_port(pattern: str, uses_port: bool) -> None:
    assert Pattern(pattern).uses_port is uses_port


@pytest.mark.parametrize(
    "pattern",
    ["%", "%+", "%x", "a%", "%1.", "%1.x", "%1/%2.", "%--1", "%-", "%P", "%1.--1", "%\u0661"],
)
def test_a_wrong_specifier_is_refused_with_what_is_allowed(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^at '%.*: allowed are text, %%, %p"):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "names no directory"),
        ("/", "names no directory"),
        ("//", "names no directory"),
        (".", "not allowed"),
        ("%0/..", "not allowed"),
        ("/srv/../%0", "not allowed"),
        ("%0//x", "not allowed"),
        ("%0/./x", "not allowed"),
        ("a\0%0", "control character"),
    ],
)
def test_a_pattern_that_could_leave_its_base_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("%0.2", "a.b"),  # "."
        ("%0.2%0.2", "a.b"),  # ".."
        ("%0.2.", "a.b"),  # ".." with one dot of the pattern's own
        ("/srv/%0.2/x", "a.b"),
        ("%0", ".."),
        ("%1", ".builds"),
        ("%0", "a/b"),
        ("%0", "a\0b"),
        ("%0", ""),
        ("fixed", ""),
    ],
)
def test_a_host_that_would_leave_the_base_is_refused(pattern: str, host: str) -> None:
    with pytest.raises(BadHost):
        Pattern(pattern).path("/base", host)


SEED = 20261120
ODD = "./\\%:[]-_+@ \0\n\r\t\x7f\x80\xe9\u0130\u212a\udce9p" + string.ascii_letters + string.digits
SPECIFIERS = [
    f"%{part}{character}"
    for part in ("0", "1", "2", "-1", "2+", "-2+", "9", "-0")
    for character in ("", ".0", ".1", ".2", ".-1", ".2+", ".-2+")
] + ["%p", "%%"]


def below(path: str, base: str) -> bool:
    """Whether every component is a real name and the first ones are those of base."""
    components = path.split("/")
    return (
        path.startswith(base + "/")
        and components[0] == ""
        and not {"", ".", ".."}.intersection(components[1:])
        and "\0" not in path
    )


def odd_text(rng: random.Random) -> str:
    return "".join(rng.choices(ODD, k=rng.randrange(12)))


def test_no_host_whatever_leaves_the_base() -> None:
    rng = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    for _ in range(30_000):
        raw = odd_text(rng)
        pieces = rng.choices([*SPECIFIERS, "/", ".", "x"], k=rng.randrange(1, 6))
        try:
            pattern = Pattern("".join(pieces))
        except ValueError:
            outcomes["pattern"] += 1
            continue
        base = "" if pattern.pattern.startswith("/") else "/the/base"
        for host in (raw, "a.b", "..", "a/../../b"):
            try:
                name = normalise(host) if rng.random() < 0.5 else host
                path = pattern.path("/the/base", name, rng.randrange(65536))
            except BadHost:
                outcomes["host"] += 1
            else:
                outcomes["path"] += 1
                assert below(path, base), (pattern, host, path)
    assert min(outcomes.values()) > 100 and len(outcomes) == 3, outcomes


def test_a_random_host_is_refused_or_a_plain_name() -> None:
    rng = random.Random(SEED)
    accepted = 0
    for _ in range(100_000):
        raw = "".join(rng.choices(ODD, k=rng.randrange(6)))
        try:
            name = normalise(raw)
        except BadHost:
            continue
        accepted += 1
        assert re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+", name), raw
        assert normalise(f"[{name}]" if ":" in name else name) == name
    assert accepted > 1000


def test_an_absolute_pattern_stays_below_its_literal_part() -> None:
    rng = random.Random(SEED)
    pattern = Pattern("/srv/sites-%0/%1.2")
    seen = 0
    for _ in range(10_000):
        try:
            path = pattern.path("/elsewhere", odd_text(rng))
        except BadHost:
            continue
        seen += 1
        assert below(path, "/srv"), path
    assert seen > 100
