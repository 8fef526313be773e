"""Extension modules, built here: what they do to the real table, and one that never comes back."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation, extensions
from mod_wsgi_van.isolation.imports.standins import StandIn
from tests.isolation.test_contract import get
from tests.support.waiting import wait

MakeSource = Callable[..., Source]

# Single-phase initialisation. While `gate` is named in the environment it says `begun` and waits
# without the GIL until the file exists; then it imports the application's `helper` as C code does.
SINGLE = r"""
#include <Python.h>
#include <unistd.h>
#include <stdio.h>
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "native", NULL, -1, NULL};
static int exists(const char *path) { return access(path, F_OK) == 0; }
PyMODINIT_FUNC PyInit_native(void) {
    PyObject *module, *helper, *name, *begun, *gate;
    if (!(module = PyModule_Create(&definition))) return NULL;
    if (!(helper = PyImport_ImportModule("helper"))) return NULL;
    if (!PyModule_Check(helper)) {
        PyErr_SetString(PyExc_TypeError, "helper is no module");
        return NULL;
    }
    begun = PyObject_GetAttrString(helper, "BEGUN");
    gate = PyObject_GetAttrString(helper, "GATE");
    name = PyObject_GetAttrString(helper, "NAME");
    if (!begun || !gate || !name) return NULL;
    const char *begun_path = PyUnicode_AsUTF8(begun), *gate_path = PyUnicode_AsUTF8(gate);
    fclose(fopen(begun_path, "w"));
    Py_BEGIN_ALLOW_THREADS
    while (*gate_path && !exists(gate_path)) usleep(2000);
    Py_END_ALLOW_THREADS
    PyModule_AddObject(module, "NAME", name);
    Py_DECREF(helper);
    Py_DECREF(begun);
    Py_DECREF(gate);
    return module;
}
"""
APP = "import helper, native\nanswer = lambda: f'{native.NAME} {native.__file__}'"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("native")
    (directory / "native.c").write_text(SINGLE)
    include = sysconfig.get_path("include")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-w", f"-I{include}", "-o", "native.so"]
    subprocess.run([*command, "native.c"], cwd=directory, check=True, timeout=60)
    return (directory / "native.so").read_bytes()


@pytest.fixture
def make_native(
    make_source: MakeSource, library: bytes, tmp_path: Path
) -> Callable[[str, bool], Source]:
    def make(name: str, waits: bool = False) -> Source:
        gate = str(tmp_path / f"{name}.gate") if waits else ""
        helper = f"NAME, BEGUN, GATE = {name!r}, {str(tmp_path / (name + '.begun'))!r}, {gate!r}"
        files = {"wsgi/app.py": APP, "wsgi/helper.py": helper}
        source = make_source(files, f"{name}.test")
        Path(source.directory, "native.so").write_bytes(library)
        return source

    return make


@pytest.fixture
def isolation() -> Iterator[ImportsIsolation]:
    made = ImportsIsolation()
    yield made
    made.shutdown(5)


def test_each_vhost_has_its_own(
    isolation: ImportsIsolation, make_native: Callable[..., Source]
) -> None:
    sources = [make_native(name) for name in ("one", "two")]
    vhosts = [isolation.load(source) for source in sources]
    for name, source, vhost in zip(("one", "two"), sources, vhosts, strict=True):
        assert get(vhost) == f"{name} {source.directory}/native.so"
    assert type(sys.modules["native"]) is StandIn
    for vhost in vhosts:
        vhost.retire()
    assert "native" not in sys.modules


def test_second_load_of_the_same_file(
    isolation: ImportsIsolation, make_native: Callable[..., Source]
) -> None:
    """A reload: CPython initialises such a module once, and copies what it was then."""
    source = make_native("one")
    for _ in range(3):
        vhost = isolation.load(source)
        assert get(vhost).startswith("one ")
        assert type(sys.modules["native"]) is StandIn
        vhost.retire()
        assert "native" not in sys.modules


def test_a_retired_release_is_not_kept_by_its_module(
    isolation: ImportsIsolation, make_native: Callable[..., Source]
) -> None:
    """CPython keeps the module itself, and whoever deploys the next environment adds another."""
    vhost = isolation.load(make_native("one"))
    release = weakref.ref(vhost.application)
    vhost.retire()
    assert release() is None


def test_files_that_were_loaded_are_not_remembered(
    isolation: ImportsIsolation, make_native: Callable[..., Source]
) -> None:
    for number in range(3):
        vhost = isolation.load(make_native(f"site{number}"))
        assert get(vhost).startswith(f"site{number} ")
        vhost.retire()
    assert len(extensions._files) == 0


def test_one_that_hangs_holds_up_no_other_vhost(
    isolation: ImportsIsolation,
    make_native: Callable[..., Source],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extensions, "_PATIENCE", 3600.0)
    slow, quick = make_native("slow", True), make_native("quick")
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(isolation.load, slow)
        try:
            wait((tmp_path / "slow.begun").exists)
            vhost = pool.submit(isolation.load, quick).result(timeout=30)
            assert get(vhost).startswith("quick ")
            assert type(sys.modules["native"]) is StandIn
            assert not late.done()
        finally:
            (tmp_path / "slow.gate").touch()
        hung = late.result(timeout=30)
    assert get(hung).startswith("slow ")
    hung.retire()
    vhost.retire()
    assert "native" not in sys.modules
