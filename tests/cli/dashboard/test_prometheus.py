"""What config prometheus, alerts and grafana print: promtool takes it, and the alerts come."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mod_wsgi_van.cli import main
from tests.cli.dashboard.test_metrics import NAMES

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool") and os.environ.get("CI") != "true",
    reason="there is no promtool (apt install prometheus)",
)


def printed(block: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["config", block]) == 0
    return capsys.readouterr().out


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_takes_configuration_and_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(printed("alerts", capsys))
    promtool("check", "rules", rules)
    text = printed("prometheus", capsys)
    assert text.count("/etc/prometheus/mod_wsgi_van.yml") == 1
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(text.replace("/etc/prometheus/mod_wsgi_van.yml", str(rules)))
    promtool("check", "config", configuration)


# What is measured once a minute for half an hour -> the alert that comes of it.
ALERTS = {
    'up{job="mod_wsgi_van",instance="i"}': ("0x30", "VanDashboardDown"),
    'up{job="mod_wsgi_van",instance="i",x="1"}': ("1x30", "VanNoProcess"),
    'van_sites{state="failed",instance="i"}': ("1x30", "VanSitesDown"),
    'van_holding_old_release{site="a",instance="i"}': ("1x30", "VanHoldsOldRelease"),
    'van_refused_total{site="a",reason="share",instance="i"}': ("0+60x30", "VanRefusesRequests"),
    'van_worker_restarts_total{site="a",reason="died",instance="i"}': ("0+1x30", "VanWorkersEnd"),
    'van_watch_mode{instance="j"}': ("0x30", "VanPolls"),
    'van_events_total{code="VAN009",instance="i"}': ("0x10 1x20", "VanDefect"),
}
# The same of a server that is well.
WELL = {
    'up{job="mod_wsgi_van",instance="i"}': "1x30",
    'van_watch_mode{instance="i"}': "1x30",
    'van_sites{state="failed",instance="i"}': "0x30",
    'van_sites{state="loaded",instance="i"}': "9x30",
    'van_holding_old_release{site="a",instance="i"}': "0x30",
    'van_refused_total{site="a",reason="share",instance="i"}': "5x30",
    'van_worker_restarts_total{site="a",reason="idle",instance="i"}': "0 1 2 2x27",
    'van_events_total{code="VAN002",instance="i"}': "0+9x30",
}


def fired(rules: Path, series: dict[str, str], expected: list[str]) -> None:
    """That just these of all alerts come, by promtool's own account."""
    query = "count by (alertname) (ALERTS{alertstate='firing'})"
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)]
    about = {
        "rule_files": [str(rules)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {"expr": query, "eval_time": "25m", "exp_samples": samples},
                ],
            }
        ],
    }
    test = rules.with_name("test.yml")
    test.write_text(json.dumps(about))  # which is YAML as well
    promtool("test", "rules", test)


@needs_promtool
@pytest.mark.parametrize("series", ALERTS)
def test_an_alert_comes(series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(printed("alerts", capsys))
    values, name = ALERTS[series]
    fired(rules, {series: values}, [name])


@needs_promtool
def test_a_server_that_is_well_raises_no_alert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(printed("alerts", capsys))
    fired(rules, WELL, [])


def test_every_alert_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    names = re.findall(r"alert: (\w+)", printed("alerts", capsys))
    assert sorted(names) == sorted(name for _, name in ALERTS.values())


@pytest.mark.parametrize("block", ["alerts", "grafana"])
def test_only_metrics_that_there_are_stand_in_what_reads_them(
    block: str, capsys: pytest.CaptureFixture[str]
) -> None:
    used = set(re.findall(r"\bvan_\w+", printed(block, capsys)))
    assert used <= NAMES.keys()


def test_the_board_can_be_imported(capsys: pytest.CaptureFixture[str]) -> None:
    board = json.loads(printed("grafana", capsys))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in board["panels"]}) == len(places)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_systemd_takes_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = tmp_path / "mod-wsgi-van-dashboard.service"
    unit.write_text(printed("dashboard", capsys))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert unit.name not in done.stderr.replace("mod-wsgi-van dashboard", "")
