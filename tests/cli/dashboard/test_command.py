"""The command dashboard as a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.cli import main
from tests.cli.conftest import ENDING
from tests.cli.dashboard.conftest import Begin
from tests.cli.running import Command
from tests.support.connection import ask
from tests.support.waiting import wait


@pytest.fixture
def config(open_path: Path, directory: Path) -> str:
    file = open_path / "van.toml"
    file.write_text(f'status_directory = "{directory}"\n')
    return str(file)


@pytest.mark.parametrize("number", ENDING)
def test_it_serves_until_a_signal_ends_it(
    command: Callable[..., Command], config: str, begin: Begin, number: signal.Signals
) -> None:
    begin(1).site("a.example", requests=5)
    running = command("dashboard", "--bind", "127.0.0.1:0", "--config", config)
    said = r"^Serving the dashboard on http://127\.0\.0\.1:(\d+)/$"
    match = wait(
        lambda: re.search(said, running.text, re.MULTILINE),
        "the dashboard serves",
        tell=lambda: running.text,
    )
    assert match
    port = int(match[1])
    assert ask(port, "localhost", "/ready").status == 200
    assert 'van_requests_total{site="a.example"} 5.0' in ask(port, "localhost", "/metrics").body
    assert running.end(number) == 0
    assert running.err == []


def test_what_is_wrong_is_one_line(
    open_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", "--bind", "9117", "--config", config]) == 2
    assert "such as 127.0.0.1:9117" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["dashboard", "--bind", bind, "--config", config]) == 1
    assert "Address already in use; choose another" in capsys.readouterr().err
    file = open_path / "file"
    file.write_text("")
    Path(config).write_text(f'status_directory = "{file}"')
    assert main(["dashboard", "--config", config]) == 1
    assert f"{file}: Not a directory" in capsys.readouterr().err


def test_no_other_command_imports_the_library_of_the_metrics() -> None:
    code = "import sys, mod_wsgi_van.cli; print('prometheus_client' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
