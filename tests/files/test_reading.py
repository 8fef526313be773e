"""What the daemon reads of a site: small regular files, and nothing that blocks or never ends."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mod_wsgi_van.errors import UnfitFile, Unreadable
from mod_wsgi_van.files.reading import read
from tests.support.children import in_child, without_privileges

LIMIT = 64 * 1024
HUGE = 400 * 1024**2


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "sparse": (sparse, "419,430,400 bytes"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "FIFO": (os.mkfifo, "a FIFO"),
    "socket": (listen, "a socket"),
    "directory": (Path.mkdir, "a directory"),
    "file without a size": (lambda path: path.symlink_to("/proc/kallsyms"), "more than 65,536"),
}


def test_text_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * LIMIT)
    assert read(str(file), LIMIT) == "x" * LIMIT
    file.write_bytes(b"\xff\n")
    assert read(str(file), LIMIT) == "\N{REPLACEMENT CHARACTER}\n"


@pytest.mark.parametrize(("make", "what"), UNFIT.values(), ids=UNFIT)
def test_what_is_no_small_regular_file(
    tmp_path: Path, make: Callable[[Path], object], what: str
) -> None:
    path = tmp_path / "file"
    make(path)
    tracemalloc.start()
    try:
        with pytest.raises(UnfitFile) as refused:
            read(str(path), LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024**2
    finally:
        tracemalloc.stop()
    text = str(refused.value)
    assert text.startswith("VAN018: ") and "\n" not in text
    assert str(path) in text and what in text and "65,536" in text
    assert refused.value.files == (str(path),)


def test_what_is_missing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "plain").touch()
    for name in ("none", "none/file", "loop", "dangling", "plain/file", "n" * 300):
        assert read(str(tmp_path / name), LIMIT) is None


def test_what_may_not_be_read_is_not_missing(open_path: Path) -> None:
    closed, file = open_path / "closed", open_path / "file"
    (closed / "below").mkdir(parents=True)
    (open_path / "link").symlink_to("closed/below")
    file.touch()
    for path in (closed, file):
        path.chmod(0)

    def test() -> None:
        without_privileges()
        for name in ("closed/below/file", "link/file"):
            with pytest.raises(Unreadable) as refused:
                read(str(open_path / name), LIMIT)
            text = str(refused.value)
            assert text.startswith("VAN015: ") and f"directory {closed} " in text
            assert "nobody" in text or os.geteuid() != 65534
        with pytest.raises(Unreadable, match=f"{file} may not be read"):
            read(str(file), LIMIT)

    in_child(test)
    closed.chmod(0o700)
