"""Microseconds that a router adds to a request, in-process: target at most 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from integration import places
from integration.benchmarks import contenders
from integration.benchmarks.contenders import OURS, ROUTERS, Child
from integration.benchmarks.figures import print_table, quick, spread
from integration.sites.environments import DJANGO5, FLASK3, environment
from integration.sites.tree import Tree

HOST = "one.domain.org"


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    application: str
    requirements: tuple[str, ...]
    requests: int  # per batch: a batch takes a few milliseconds, so that noise meets both sides
    path: str = "/"


CASES = (
    Case("trivial", "trivial", (), 5000),
    Case("800 modules", "many", (), 5000),
    Case("Flask 3", "flask", FLASK3, 50, "/light"),
    Case("Django 5", "django", DJANGO5, 50, "/finished"),
)


def measure(
    name: str, case: Case, home: Path, tree: Tree, rounds: int
) -> list[tuple[float, float]]:
    env = environment(places.system_python(), case.requirements) if case.requirements else None
    release = tree.deploy(HOST, case.application, env=env)
    if case.application == "many":
        write_modules(release / "wsgi", 800)
    paths = [str(release / "wsgi"), *([contenders.packages(env)] if env else [])]
    with Child(home, tree.base) as router, Child(home, tree.base) as other:
        router.tell("first", host=HOST)
        # In one process noise meets both alike. 1.0.0 would be charged for the modules of the
        # application alone, since it moves all of sys.modules at each request.
        alone = router if name == OURS else other
        alone.tell("load_alone", paths=paths)
        batch = {"host": HOST, "path": case.path, "requests": case.requests}
        pairs = [
            (alone.tell("alone", **batch), router.tell("routed", **batch))
            for _ in range(rounds + 2)
        ]
    return [(before * 1e6, after * 1e6) for before, after in pairs[2:]]


def write_modules(wsgi: Path, count: int) -> None:
    package = wsgi / "many"
    package.mkdir()
    (package / "__init__.py").touch()
    for number in range(count):
        (package / f"module{number}.py").write_text(f"NUMBER = {number}\n")


def main() -> None:
    rounds = 10 if quick(__doc__ or "") else 60
    rows = []
    with contenders.directory() as root:
        for name in ROUTERS:
            home = contenders.homes(root / name.replace(" ", "-"))[name]
            for case in CASES:
                tree = Tree(root / f"{name}-{case.name}".replace(" ", "-"))
                pairs = measure(name, case, home, tree, rounds)
                added = spread([through - alone for alone, through in pairs], 3)
                rows.append([case.name, name, spread([alone for alone, _ in pairs]), added])
    heads = ["application", "router", "alone, us", "added, us"]
    print_table("cost per request, in-process (median [quartiles])", heads, sorted(rows))


if __name__ == "__main__":
    main()
