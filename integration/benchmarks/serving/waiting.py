"""Whether a contender answers with the vhost that was asked for."""

from __future__ import annotations

import http.client

from integration.benchmarks.serving.contender import Contender
from tests.support.connection import ask
from tests.support.waiting import wait


def answers(contender: Contender, host: str, release: int = 1) -> bool:
    """Whether this vhost answers with this release, not an error or another vhost for it."""
    try:
        answer = ask(contender.running.port, host)
    except (OSError, http.client.HTTPException):  # dropped by a graceful restart
        return False
    said = [host.split(".")[0], str(release)]
    return answer.status == 200 and answer.json["seen"][0] == said


def wait_for_answer(contender: Contender, host: str) -> None:
    wait(
        lambda: answers(contender, host),
        f"{contender.name} answers for {host}",
        pause=0.002,
        tell=contender.running.httpd.log,
    )
