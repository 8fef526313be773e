"""What the two vhosts of the isolation matrix have installed, under each Python."""

from __future__ import annotations

from tests.support.pythons import Version, interpreter

# In versions that differ.
PACKAGES = {
    "one": "flask==2.3.3 werkzeug==2.3.8 jinja2==3.1.2 django==4.2.16 lxml==5.3.0"
    " cryptography==43.0.3 cffi==1.17.1 pydantic==2.9.2 pyyaml==6.0.2 sqlalchemy==1.4.54"
    " setuptools==69.5.1 numpy==1.26.4",
    "two": "flask==3.1.1 werkzeug==3.1.3 jinja2==3.1.6 django==5.2.4 lxml==6.0.0"
    " cryptography==45.0.5 cffi==2.0.0 pydantic==2.11.7 pyyaml==6.0.3 sqlalchemy==2.0.41"
    " setuptools==75.8.0 numpy==2.2.6",
}
# What older versions have no wheels for a Python, or do not run on it: "one", "two".
NEWER: dict[Version, dict[str, str]] = {
    (3, 13): {"one": "numpy==2.1.3", "two": ""},
    (3, 14): {
        "one": "django==5.2.8 lxml==6.0.1 cffi==2.0.0 pydantic==2.12.0 pyyaml==6.0.3"
        " sqlalchemy==2.0.43 numpy==2.3.2",
        "two": "django==6.0 lxml==6.1.0 cffi==2.1.0 pydantic==2.13.0 pyyaml==6.0.4"
        " sqlalchemy==2.1.0 numpy==2.3.5",
    },
}
VERSIONS: list[Version] = [(3, minor) for minor in range(11, 15) if interpreter((3, minor))]


def requirements(name: str, version: Version) -> list[str]:
    """What the vhost ``name`` ("one" or "two") has installed under this Python."""
    listed = f"{PACKAGES[name]} {NEWER[version][name] if version in NEWER else ''}"
    return ["==".join(pair) for pair in dict(one.split("==") for one in listed.split()).items()]
