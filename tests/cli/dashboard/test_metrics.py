"""The metrics have the names that alert rules stand on, and promtool takes them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mod_wsgi_van.cli.dashboard.server import DashboardServer
from tests.cli.dashboard.conftest import Begin
from tests.support.connection import ask, raw

# Name and labels.
NAMES = {
    "van_sites": {"state"},
    "van_requests_total": {"site"},
    "van_requests_in_progress": {"site"},
    "van_queue_length": {"site"},
    "van_refused_total": {"site", "reason"},
    "van_load_duration_seconds_count": {"site"},
    "van_load_duration_seconds_sum": {"site"},
    "van_reloads_total": {"site", "result"},
    "van_holding_old_release": {"site"},
    "van_release_info": {"site", "release", "isolation", "python"},
    "van_worker_private_bytes": {"site"},
    "van_worker_restarts_total": {"site", "reason"},
    "van_watch_mode": set(),
    "van_events_total": {"code"},
}

FULL = {
    "requests": 5,
    "in_progress": 2,
    "queue": 1,
    "refused": {"share": 3},
    "reloads": {"ok": 2, "failed": 1},
    "worker_restarts": {"memory_limit": 1},
    "workers": [{"pid": 9, "private_bytes": 1000}],
    "release": '/var/www/a\udcff"\n',
}

Sample = tuple[str, frozenset[tuple[str, str]]]


def scraped(server: DashboardServer) -> dict[Sample, float]:
    answer = ask(server.server_port, "localhost", "/metrics")
    assert answer.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
    }


def value(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_the_names_and_labels_are_those_that_were_promised(
    server: DashboardServer, begin: Begin
) -> None:
    begin(1, events={"VAN007": 3}).site("a.example", **FULL)
    samples = scraped(server)
    assert {name: {label for label, _ in labels} for name, labels in samples} == NAMES
    assert value(samples, "van_sites", state="loaded") == 1
    assert value(samples, "van_refused_total", site="a.example", reason="share") == 3
    assert value(samples, "van_events_total", code="VAN007") == 3
    assert value(samples, "van_load_duration_seconds_sum", site="a.example") == 0.25


def test_processes_are_summed_and_the_worst_state_counts(
    server: DashboardServer, begin: Begin
) -> None:
    one, two = begin(1), begin(2, watch="polling")
    one.site("a.example", **FULL)
    two.site("a.example", **{**FULL, "state": "holding"})
    samples = scraped(server)
    assert value(samples, "van_requests_total", site="a.example") == 10
    assert value(samples, "van_worker_private_bytes", site="a.example") == 2000
    assert value(samples, "van_sites", state="holding") == 1
    assert value(samples, "van_sites", state="loaded") == 0
    assert value(samples, "van_holding_old_release", site="a.example") == 1
    assert value(samples, "van_watch_mode") == 0


def test_without_a_process_there_are_no_sites_and_counters_stay(
    server: DashboardServer, begin: Begin
) -> None:
    one = begin(1)
    one.site("a.example", path="/", requests=5)
    assert value(scraped(server), "van_requests_total", site="a.example") == 5
    one.end()
    server.observer.look(0)
    samples = scraped(server)
    assert value(samples, "van_requests_total", site="a.example") == 5
    assert value(samples, "van_sites", state="loaded") == 0
    assert ("van_watch_mode", frozenset()) not in samples


def test_openmetrics_where_the_scraper_wants_it(server: DashboardServer, begin: Begin) -> None:
    begin(1).site("a.example", **FULL)
    head = "Host: localhost\r\nAccept: application/openmetrics-text; version=1.0.0"
    answer = raw(server.server_port, f"GET /metrics HTTP/1.1\r\n{head}\r\n\r\n".encode())
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith("# EOF\n")


@pytest.mark.skipif(
    not shutil.which("promtool") and os.environ.get("CI") != "true",
    reason="there is no promtool (apt install prometheus)",
)
def test_promtool_has_nothing_to_say(server: DashboardServer, begin: Begin) -> None:
    begin(1, events={"VAN007": 3}).site("a.example", **FULL)
    body = ask(server.server_port, "localhost", "/metrics").body
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=body, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not re.search(r"\bpid=", body)
