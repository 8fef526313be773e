"""Microseconds that a router adds to a request, in-process: target at most 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from integration.benchmarks import contenders
from integration.benchmarks.contenders import OURS, ROUTERS, Child
from integration.benchmarks.figures import print_table, quick, spread
from integration.server.programs import system_python
from integration.sites.libraries import DJANGO5, FLASK3
from integration.sites.tree import Tree
from tests.support.environments import environment

HOST = "one.domain.org"

Pair = tuple[float, float]  # alone, routed


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    application: str
    requirements: tuple[str, ...]
    requests: int  # per batch: a batch takes a few milliseconds, so that noise meets both sides
    path: str = "/"


CASES = (
    Case("trivial", "trivial", (), 2000),
    Case("800 modules", "many", (), 2000),
    Case("Flask 3", "flask", FLASK3, 30, "/light"),
    Case("Django 5", "django", DJANGO5, 30, "/finished"),
)


def measure(name: str, case: Case, home: Path, tree: Tree, rounds: int) -> list[Pair]:
    env = environment(system_python(), case.requirements) if case.requirements else None
    release = tree.deploy(HOST, case.application, env=env)
    if case.application == "many":
        write_modules(release / "wsgi", 800)
    paths = [str(release / "wsgi"), *([contenders.packages(env)] if env else [])]
    with Child(home, tree.base) as router, Child(home, tree.base) as other:
        # In one process noise meets both alike. 1.0.0 would be charged for the modules of the
        # application alone, since it moves all of sys.modules at each request.
        alone = router if name == OURS else other
        alone.tell("load_alone", paths=paths)
        router.tell("first", host=HOST)
        batch = {"host": HOST, "path": case.path, "requests": case.requests}
        return [pair(alone, router, batch, swapped=n % 2 == 1) for n in range(rounds + 2)][2:]


def pair(alone: Child, router: Child, batch: dict[str, object], *, swapped: bool) -> Pair:
    """Microseconds per request, alone and routed, measured one right after the other."""
    if swapped:
        routed = router.tell("routed", **batch)
        return alone.tell("alone", **batch) * 1e6, routed * 1e6
    return alone.tell("alone", **batch) * 1e6, router.tell("routed", **batch) * 1e6


def write_modules(wsgi: Path, count: int) -> None:
    package = wsgi / "many"
    package.mkdir()
    (package / "__init__.py").touch()
    for number in range(count):
        (package / f"module{number}.py").write_text(f"NUMBER = {number}\n")


def main() -> None:
    short = quick(__doc__ or "")
    # Two copies of one application in one process differ by up to 2 %, by where they came to lie
    # in memory, so there are many processes.
    processes, rounds = (2, 10) if short else (8, 60)
    rows = []
    with contenders.directory() as root:
        homes = contenders.homes(root)
        for case in CASES:
            pairs: dict[str, list[Pair]] = {name: [] for name in ROUTERS}
            for number in range(processes):
                for name in ROUTERS:
                    tree = Tree(root / f"{name}-{case.application}-{number}".replace(" ", "-"))
                    pairs[name] += measure(name, case, homes[name], tree, rounds)
            rows += [row(case, name, pairs[name]) for name in ROUTERS]
    heads = ["application", "router", "alone, us", "added, us"]
    print_table("CPU time per request, in-process (median [quartiles])", heads, rows)


def row(case: Case, name: str, pairs: list[Pair]) -> list[str]:
    added = spread([routed - alone for alone, routed in pairs], 3)
    return [case.name, name, spread([alone for alone, _ in pairs]), added]


if __name__ == "__main__":
    main()
