"""What the two vhosts of the isolation matrix have installed, under each Python."""

from __future__ import annotations

from tests.support.pythons import Version, interpreter

# In versions that differ; Python 3.13 has no wheels of some older ones.
PACKAGES = {
    "one": "flask==2.3.3 werkzeug==2.3.8 jinja2==3.1.2 django==4.2.16 lxml==5.3.0"
    " cryptography==43.0.3 cffi==1.17.1 pydantic==2.9.2 pyyaml==6.0.2 sqlalchemy==1.4.54"
    " setuptools==69.5.1",
    "two": "flask==3.1.1 werkzeug==3.1.3 jinja2==3.1.6 django==5.2.4 lxml==6.0.0"
    " cryptography==45.0.5 cffi==2.0.0 pydantic==2.11.7 pyyaml==6.0.3 sqlalchemy==2.0.41"
    " setuptools==75.8.0",
}
NUMPY = {"one": ("numpy==1.26.4", "numpy==2.1.3"), "two": ("numpy==2.2.6", "numpy==2.2.6")}
VERSIONS: list[Version] = [each for each in ((3, 11), (3, 12), (3, 13)) if interpreter(each)]


def requirements(name: str, version: Version) -> list[str]:
    """What the vhost ``name`` ("one" or "two") has installed under this Python."""
    older, newer = NUMPY[name]
    return [*PACKAGES[name].split(), newer if version >= (3, 13) else older]
