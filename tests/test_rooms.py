"""The folders of the package are its architecture: imports run one way, a name is given once."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import mod_wsgi_van

PACKAGE = Path(mod_wsgi_van.__file__).parent
STANDALONE = "mod_wsgi_van.isolation.process.worker"  # a script for the Pythons of the sites

# Floors, from the ground up: a room may import from its own floor and from those below.
FLOORS = [
    {
        "wsgi",
        "errors",
        "codes",
        "hosts",
        "lines",
        "answers",
        "blocks",
        "checks",
        "settings",
        "config",
        "limits",
        "tally",
    },
    {"interpreter", "files"},
    {"watch", "isolation"},
    {"sites"},
    {"reload"},
    {"status"},
    {"engine"},
    {"router"},
    {""},  # the package itself, which offers the router
    {"deploy"},
    {"manual", "cli", "__main__"},
]


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


MODULES = modules()


def imported(tree: ast.Module) -> set[str]:
    """The modules of the package that ``tree`` imports anywhere, for type checkers included."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in MODULES else node.module)
    return names & MODULES.keys()


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def test_imports_run_one_way() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    upward = [
        f"{importer} imports {name}"
        for importer, tree in MODULES.items()
        for name in imported(tree)
        if floor[room(name)] > floor[room(importer)]
    ]
    assert upward == []


def test_no_module_comes_back_to_itself() -> None:
    left = {name: imported(tree) - {name} for name, tree in MODULES.items()}
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert sorted(left) == []


def test_a_class_name_stands_once() -> None:
    names = Counter(
        node.name
        for module, tree in MODULES.items()
        if module != STANDALONE
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []
