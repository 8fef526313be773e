"""What each cell answers in a process of the vhost's own; run by the environment's interpreter."""

from __future__ import annotations

import json
import site
import sys


def main() -> None:
    directory, extra, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sys.path.insert(0, directory)
    site.addsitedir(extra)
    from app import app

    found = {}
    for cell in sys.argv[4:]:
        found[cell] = [
            b"".join(app({"PATH_INFO": f"/{cell}", "QUERY_STRING": str(turn)}, ignore)).decode()
            for turn in range(turns if cell not in ("process_fork", "process_spawn") else 1)
        ]
    print("\n" + json.dumps(found))


def ignore(status: str, headers: list[tuple[str, str]]) -> None:
    """start_response."""


if __name__ == "__main__":
    main()
