"""From the Host header to the directory of a site, as Apache and mod_vhost_alias do it.

Pure functions: nothing here touches the file system or knows which sites exist. What Apache does
was observed on a running httpd; the rows are in tests/data.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from mod_wsgi_van.errors import BadHost

LONGEST = 253  # characters of a DNS name in text form (RFC 1035 2.3.4 without the root's length)

# The characters that Apache's strict check lets through. That leaves out, among others, everything
# that means something in a path or in a log line.
_NAME = re.compile(r"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?(?::([0-9]{1,5}))?")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")


def normalise(raw_host: str) -> str:
    """The host name in lower case, without port, one trailing dot or the brackets of IPv6.

    Raises BadHost when no site can have that name.
    """
    match = _NAME.fullmatch(raw_host) or _IPV6.fullmatch(raw_host)
    if match is None:
        raise BadHost(f"Host {_shown(raw_host)}: {_fault(raw_host)}")
    name, port = match.groups()
    if port is not None and not 0 < int(port) < 65536:
        raise BadHost(f"Host {_shown(raw_host)}: the port is not between 1 and 65535")
    if len(name) > LONGEST:
        raise BadHost(f"Host {_shown(raw_host)}: the name is longer than {LONGEST} characters")
    if match.re is _IPV6:
        _check_ipv6(raw_host, name)
    return name.lower()


def _check_ipv6(raw_host: str, name: str) -> None:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        raise BadHost(f"Host {_shown(raw_host)}: no IPv6 address between the brackets") from None


def _shown(raw_host: str) -> str:
    """Printable ASCII of bounded length: it goes into a log that the client must not write."""
    return ascii(raw_host if len(raw_host) <= 80 else f"{raw_host[:77]}...")


def _fault(raw_host: str) -> str:
    if raw_host in ("", "."):
        return "the name is empty"
    if len(raw_host) > LONGEST + len(".:65535"):
        return f"the name is longer than {LONGEST} characters"
    if raw_host.startswith("["):
        return "no IPv6 address in brackets, or no port after them"
    name, colon, port = raw_host.partition(":")
    wrong = re.search(r"[^A-Za-z0-9_.-]", name)
    if wrong:
        return f"the character {wrong[0]!a} is not allowed"
    if colon and ":" in port:
        return "an IPv6 address needs brackets"
    if colon and not re.fullmatch(r"[0-9]{1,5}", port):
        return "the port is not a number"
    return "a part between two dots is empty"


class Aliases:
    """Further names of sites; one that begins with ``*.`` stands for all names below the rest."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """``names``: the aliases of each site, as ``normalise`` leaves them."""
        self._sites = {alias: site for site, aliases in names.items() for alias in aliases}
        self._sites |= {site: site for site in names}

    def site(self, host: str) -> str:
        """The name of the site that ``host`` is a name of, most often its own."""
        found = self._sites.get(host)
        rest = host
        while found is None and rest:
            rest = rest.partition(".")[2]
            found = self._sites.get(f"*.{rest}")
        return found or host


# %% | %p | %N | %N.M, where N and M are a digit with - before it and + after it, both optional.
# "%1." is an error in mod_vhost_alias, not %1 and a dot: hence the last alternative.
_SPECIFIER = re.compile(r"%(?:(%)|(p)|(-?[0-9]\+?)(?:\.(-?[0-9]\+?)|(?!\.)))")
_ALLOWED = (
    "allowed are text, %%, %p (port), %N and %N.M as in mod_vhost_alias, where N (part of the name)"
    " and M (character of that part) are one digit, -1 to -9 count from the end, and + adds the"
    " rest"
)
_MOST_PARTS = 19  # mod_vhost_alias's limit; the last part keeps the remainder
_MISSING = "_"  # mod_vhost_alias's word for a part or character that does not exist


class Pattern:
    """A directory name with mod_vhost_alias's interpolation, relative to a base or absolute.

    Raises ValueError for what mod_vhost_alias refuses, and for components "", "." and "..".
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.uses_port = False
        self._items: list[str | _Specifier] = []
        self._absolute = pattern.startswith("/")
        self._text = pattern.removeprefix("/").removesuffix("/")
        self._check_components()
        self._parse()

    def __repr__(self) -> str:
        return f"Pattern({self.pattern!r})"

    def _check_components(self) -> None:
        if not self._text:
            raise ValueError(f"it names no directory; {_ALLOWED}")
        if re.search(r"[\x00-\x1f\x7f]", self._text):
            raise ValueError("it has a control character")
        if not {"", ".", ".."}.isdisjoint(self._text.split("/")):
            raise ValueError('"//", "." and ".." are not allowed')

    def _parse(self) -> None:
        position = 0
        text = self._text
        while position < len(text):
            if text[position] != "%":
                end = text.find("%", position)
                end = len(text) if end < 0 else end
                self._items.append(text[position:end])
                position = end
                continue
            match = _SPECIFIER.match(text, position)
            if match is None:
                raise ValueError(f"at {text[position : position + 5]!r}: {_ALLOWED}")
            percent, port, part, character = match.groups()
            if percent:
                self._items.append("%")
            else:
                self._items.append(_Specifier(part, character))
                self.uses_port = self.uses_port or bool(port)
            position = match.end()

    def path(self, base: str, host: str, port: int = 80) -> str:
        """The site's directory: absolute, below ``base``, symlinks not followed.

        ``base`` is absolute and not used by an absolute pattern, whose own text before its first
        specifier takes its place. ``host`` comes from ``normalise``. Raises BadHost when the text
        that the host puts in makes a component "", "." or "..", so that the path would not be
        below; the literal text cannot do so by itself.
        """
        if not host or "/" in host or "\0" in host:
            raise BadHost(f"Host {_shown(host)}: not a host name")
        parts = host.lower().split(".", _MOST_PARTS - 1)
        below = "".join(
            item if isinstance(item, str) else item.interpolate(parts, port) for item in self._items
        )
        if not {"", ".", ".."}.isdisjoint(below.split("/")):
            raise BadHost(f"Host {_shown(host)}: vhost_pattern {self.pattern!r} names no directory")
        return f"/{below}" if self._absolute else f"{base.rstrip('/')}/{below}"


class _Specifier:
    """One %p, %N or %N.M."""

    def __init__(self, part: str | None, character: str | None) -> None:
        self._part = part
        self._character = character

    def interpolate(self, parts: list[str], port: int) -> str:
        if self._part is None:
            return str(port)
        chosen = _select(self._part, len(parts))
        text = _MISSING if chosen is None else ".".join(parts[chosen])
        if self._character is None:
            return text
        chosen = _select(self._character, len(text))
        return _MISSING if chosen is None else text[chosen]


def _select(index: str, length: int) -> slice | None:
    """What ``index`` ("2", "-1+" ...) selects of ``length`` items; None: there are not so many."""
    number = int(index.strip("-+"))
    rest = index.endswith("+")
    if number == 0:
        return slice(0, length)
    if number > length:
        return None
    if index.startswith("-"):
        return slice(0 if rest else length - number, length - number + 1)
    return slice(number - 1, length if rest else number)
