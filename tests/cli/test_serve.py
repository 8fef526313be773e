import errno
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.cli import demo, httpd, main, serve
from mod_wsgi_van.cli.interruption import Interruption
from mod_wsgi_van.cli.problem import Problem, Unusable
from tests.cli.conftest import ENDING
from tests.cli.running import APP, Command, deploy, get
from tests.support import children
from tests.support.children import descendants, runs
from tests.support.connection import raw
from tests.support.waiting import wait

Start = Callable[..., Command]


def free_again(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((serve.ADDRESS, port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("number", ENDING)
def test_it_serves_reloads_and_leaves_nothing_behind(
    server: str, number: signal.Signals, base: Path, command: Start
) -> None:
    running = command("serve", str(base), "--port", "0", "--server", server)
    port = running.wait_ready()
    assert get(port, "a.example") == (200, "release 1")
    assert get(port, "b.example")[0] == 404
    deploy(base, 2)
    wait(lambda: get(port, "a.example") == (200, "release 2"), "the deploy is live")
    below = descendants(running.process.pid)
    assert bool(below) == (server == "apache")
    assert running.end(number) == 0, running.text
    assert not [pid for pid in below if runs(pid)], running.text
    assert free_again(port)
    assert list(running.temporary.iterdir()) == []
    assert running.out[-1] == "Ended.\n"
    assert "Traceback" not in running.text


def test_a_second_interrupt_does_not_cut_the_end_short(
    server: str, base: Path, command: Start
) -> None:
    running = command("serve", str(base), "--port", "0", "--server", server)
    running.wait_ready()
    below = descendants(running.process.pid)
    for _ in range(5):
        running.process.send_signal(signal.SIGINT)
    assert running.wait() == 0, running.text
    assert not [pid for pid in below if runs(pid)]
    assert list(running.temporary.iterdir()) == []


def test_an_interrupt_while_it_starts_leaves_nothing_behind(
    server: str, base: Path, command: Start
) -> None:
    running = command("serve", str(base), "--port", "0", "--server", server)
    stat = Path(f"/proc/{running.process.pid}/status")
    # SigCgt, the mask of caught signals, has SIGTERM's bit once the handlers stand.
    bit = 1 << (signal.SIGTERM - 1)
    wait(lambda: int(stat.read_text().partition("SigCgt:")[2].split()[0], 16) & bit, "it has begun")
    assert running.end(signal.SIGTERM) == 0, running.text
    assert list(running.temporary.iterdir()) == []
    assert "Traceback" not in running.text


def test_settings_come_from_a_file_that_is_named(
    server: str, base: Path, command: Start, tmp_path: Path
) -> None:
    file = tmp_path / "van.toml"
    file.write_text(f'base_path = "{base}"\n[sites."a.example"]\naliases = ["www.a.example"]\n')
    running = command("serve", "--config", str(file), "--port", "0", "--server", server)
    assert get(running.wait_ready(), "www.a.example") == (200, "release 1")
    assert running.end(signal.SIGTERM) == 0, running.text


def test_a_wrong_file_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "van.toml"
    file.write_text("settle = 1\nsetle = 2\n")
    assert main(["serve", "--config", str(file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mod-wsgi-van: {file}:2: setle: no such key; did you mean settle?")


def test_worker_processes_end_with_it(server: str, base: Path, command: Start) -> None:
    venv = base / ".releases/1/.venv"
    subprocess.run([demo.interpreter(), "-m", "venv", "--without-pip", venv], check=True)
    running = command(
        *("serve", str(base), "--port", "0", "--server", server, "--isolation", "process")
    )
    port = running.wait_ready()
    assert get(port, "a.example") == (200, "release 1")
    after = descendants(running.process.pid)  # Apache may still start some of its own
    assert len([pid for pid in after if "/worker.py " in children.command(pid)]) == 1, running.text
    assert running.end() == 0, running.text
    wait(lambda: not [pid for pid in after if runs(pid)], "the worker has ended")


def test_settings_reach_the_router(server: str, base: Path, command: Start) -> None:
    (base / ".releases/1/code").mkdir()
    (base / ".releases/1/code/main.py").write_text(APP.replace("app", "site").format("main"))
    running = command(
        *("serve", str(base), "--port", "0", "--server", server),
        *("--vhost-pattern", "%2+", "--wsgi-dir", "code"),
        *("--module-name", "main", "--object-name", "site"),
    )
    assert get(running.wait_ready(), "www.a.example") == (200, "release main")


ECHO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_AUTHORIZATION", "none").encode(), environ["wsgi.input"].read(5)]
"""


def test_applications_get_passwords_and_chunked_bodies(
    server: str, base: Path, command: Start
) -> None:
    (base / ".releases/1/wsgi/app.py").write_text(ECHO)
    running = command("serve", str(base), "--port", "0", "--server", server)
    request = (
        b"POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nAuthorization: Basic eDp5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    )
    answer = raw(running.wait_ready(), request)
    assert (answer.status, answer.body) == (200, "Basic eDp5abcde")


def test_a_relative_base_path_is_of_the_callers_directory(
    server: str, base: Path, command: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(base.parent)
    running = command("serve", "www", "--port", "0", "--server", server)
    assert get(running.wait_ready(), "a.example") == (200, "release 1")
    assert f"Serving {base} on " in running.text


def test_a_failing_application_is_told_on_stderr(server: str, base: Path, command: Start) -> None:
    (base / ".releases/1/wsgi/app.py").write_text("raise RuntimeError('of the test')\n")
    running = command("serve", str(base), "--port", "0", "--server", server)
    assert get(running.wait_ready(), "a.example")[0] == 500
    wait(lambda: "RuntimeError: of the test" in "".join(running.err), "the log has reached stderr")


def refuse(*_: object) -> None:
    raise Unusable("no httpd in this test")


def run(base: Path, server: str) -> None:
    with Interruption() as interruption:
        order = serve.Order({"base_path": str(base)}, 0, server)
        serve.serve(order, lambda port: None, interruption)


def test_auto_falls_back_and_says_why(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def announce_only(settings: object, listening: object, announce: Callable[[str], None]) -> None:
        announce("waitress")

    monkeypatch.setattr(httpd, "run", refuse)
    monkeypatch.setattr(serve, "run_waitress", announce_only)
    run(base, "auto")
    assert " with waitress, not Apache: no httpd in this test\n" in capsys.readouterr().out
    with pytest.raises(Problem, match="no httpd in this test"):
        run(base, "apache")


def test_without_any_server_both_reasons_are_told(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpd, "run", refuse)
    monkeypatch.setitem(sys.modules, "waitress", None)
    monkeypatch.setitem(sys.modules, "waitress.server", None)
    words = r"mod-wsgi-van\[serve\].*, not Apache: no httpd in this test"
    with pytest.raises(Problem, match=words):
        run(base, "auto")


@pytest.mark.parametrize("chosen", serve.SERVERS)
def test_a_port_in_use_is_a_problem(
    chosen: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((serve.ADDRESS, 0)) as other:
        port = str(other.getsockname()[1])
        assert main(["serve", str(base), "--port", port, "--server", chosen]) == 1
    assert capsys.readouterr().err == (
        f"mod-wsgi-van: port {port} is in use (choose another with --port)\n"
    )


def test_a_port_without_the_right_to_it_is_a_problem() -> None:
    # Not tried: containers often give every port to everybody.
    error = PermissionError(errno.EACCES, "Permission denied")
    assert str(serve.refused(80, error)) == "port 80 needs root's rights (use --port 1024 or above)"


def test_an_unreadable_base_path_is_a_problem(base: Path) -> None:
    # As nobody where the tests run as root, to whom nothing is closed.
    program = (
        "import os, sys; from mod_wsgi_van.cli import main\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "serve", str(base), "--port", "0"]
    base.chmod(0)
    done = subprocess.run(command, capture_output=True, text=True)
    base.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr == (f"mod-wsgi-van: base path {base} cannot be read: permission denied\n")


def test_a_missing_base_path_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == (
        f"mod-wsgi-van: base path {tmp_path / 'none'} is not a directory\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve", "--server", "nginx"],
        ["serve", "--port", "x"],
        ["serve", "--port", "65536"],
        ["serve", "--settle", "soon"],
        ["serve", "--settle", "-1"],
        ["serve", "--watch", "sometimes"],
        ["serve", "--vhost-pattern", "%x"],
        ["serve", "--unknown"],
        ["demo"],
    ],
)
def test_wrong_usage_is_exit_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("mod-wsgi-van " if arguments else "Usage: mod-wsgi-van ")
    assert said.count("\n") == 1 or not arguments


def test_a_daemon_imports_nothing_of_the_command(base: Path) -> None:
    program = (
        "import io, sys; from mod_wsgi_van import Router\n"
        f"router = Router(base_path={str(base)!r})\n"
        "environ = {'HTTP_HOST': 'a.example', 'wsgi.input': io.BytesIO()}\n"
        "assert b''.join(router.application(environ, lambda *_: None)) == b'release 1'\n"
        "router.shutdown(); print({'click', 'rich', 'mod_wsgi_van.cli'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
