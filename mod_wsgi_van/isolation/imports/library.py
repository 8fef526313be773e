"""The standard library as files: which modules it has, and code that is compiled once for all.

Its directories are listed once in the life of the process, and each of its files is read once,
whatever releases come: an upgrade of Python is seen after the restart that it needs anyway.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable, MutableMapping
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from mod_wsgi_van.isolation.imports import internals
from mod_wsgi_van.isolation.imports.system import System
from mod_wsgi_van.isolation.process.worker import YOUNG

_PACKAGES = ("site-packages", "dist-packages")  # below it, but not of it


class _File(NamedTuple):
    path: str
    package: str | None  # its directory
    compiled: bool = False
    source: bool = True  # False: a directory that may be a namespace package


# Written by any thread: what two of them find at once is equal.
_listed: dict[str, dict[str, _File]] = {}
_codes: dict[str, CodeType] = {}

# Code of files that are no part of it, as long as a release has it loaded: sites may share an
# environment, and a new release mostly has the packages of the one before it.
_shared: weakref.WeakValueDictionary[tuple[Any, ...], CodeType] = weakref.WeakValueDictionary()

# The same by what a file of bytecode holds: two environments mostly have the same packages.
_contents: weakref.WeakValueDictionary[bytes, CodeType] = weakref.WeakValueDictionary()

# C code keeps these functions and classes of the daemon's library for good, so that a release must
# have the very objects: module -> names.
_KEPT: dict[str, tuple[str, ...]] = {}
if sys.version_info < (3, 12):
    _KEPT["xml.etree.ElementTree"] = ("Comment", "ProcessingInstruction", "PI", "ParseError")
if sys.version_info < (3, 14):
    _KEPT["asyncio.exceptions"] = ("CancelledError", "InvalidStateError")


def is_pure(name: str) -> bool:
    """Whether a module of this name in ``sys.modules`` is one of the library's, and in Python."""
    top = name.partition(".")[0]
    if top not in sys.stdlib_module_names or top in sys.builtin_module_names:
        return False
    return not any((file := _list(path).get(top)) and file.compiled for path in paths()[1:])


def paths() -> list[str]:
    """The entries of ``sys.path`` that hold the standard library."""
    standard = internals.stdlib_dir
    archive = "python{}{}.zip".format(*sys.version_info[:2])
    return [
        os.path.join(os.path.dirname(standard), archive),
        standard,
        os.path.join(standard, "lib-dynload"),
    ]


def contains(path: str) -> bool:
    """Whether a file or directory belongs to the standard library."""
    standard = internals.stdlib_dir
    if not path.startswith(standard + os.sep) and path != standard:
        return False
    return path[len(standard) + 1 :].partition(os.sep)[0] not in _PACKAGES


def prepare(system: System) -> None:
    """Let the release's importlib find the library in the lists, and its code in the store."""
    external = system.importlib.external
    loader = external.SourceFileLoader
    read: Callable[[Any, str], CodeType | None] = loader.get_code
    known_ways = _ways(loader)

    def get_code(self: Any, fullname: str) -> CodeType | None:
        if _ways(type(self)) != known_ways:
            return read(self, fullname)  # an import hook of the site's: its code is its own
        path = self.get_filename(fullname)
        known: MutableMapping[Any, CodeType] = _codes if contains(path) else _shared
        key: Any = path if known is _codes else _identity(path)
        code: CodeType | None = known.get(key)
        if code is None:
            code = read(self, fullname)
            if code is not None and key is not None:
                code = known.setdefault(key, code)
        if known is _shared and code is not None:
            system.codes.append(code)
        return code

    loader.get_code = get_code
    external._compile_bytecode = _compiling(system, external._compile_bytecode)
    external.SourceLoader.exec_module = _executing(external.SourceLoader.exec_module)
    archive = paths()[0]
    if not os.path.exists(archive):
        system.sys.path_importer_cache[archive] = None
    system.sys.path_hooks[:0] = [_archives(system), _finders(external)]


def _ways(loader: type) -> list[Any]:
    """What decides which code a loader makes of a file; a site may patch them, or a subclass."""
    names = ("get_data", "path_stats", "source_to_code", "get_filename", "_cache_bytecode")
    return [getattr(loader, name, None) for name in names]


def _compiling(system: System, read: Callable[..., CodeType]) -> Callable[..., CodeType]:
    """Read bytecode once for all files that hold the same: the rest is a copy with another path.

    A copy shares names, constants and tables of lines. Beside reading anew it takes half the time
    and six tenths of the memory (Flask with what it imports; seven tenths for Django).
    """

    def _compile_bytecode(
        data: Any, name: Any = None, bytecode_path: Any = None, source_path: Any = None
    ) -> CodeType:
        if source_path is None:
            return read(data, name, bytecode_path, source_path)
        content = _content(bytes(data), source_path)
        first = _contents.get(content)
        if first is not None:
            return _copy(first, first.co_filename, source_path)
        code = read(data, name, bytecode_path, source_path)
        if not _names(code.co_consts, source_path):
            system.codes.append(_contents.setdefault(content, code))
        return code

    return _compile_bytecode


def _content(data: bytes, path: str) -> bytes:
    """A digest of what a file of bytecode says but for its own path, as marshal writes that."""
    name = path.encode("utf-8", "surrogatepass")
    size = len(name).to_bytes(1 if path.isascii() and len(name) < 256 else 4, "little")
    digest = blake2b(digest_size=16)
    for part in data.split(size + name):
        digest.update(len(part).to_bytes(8, "little"))  # the path must stand in the same places
        digest.update(part)
    return digest.digest()


def _names(constants: Iterable[Any], path: str) -> bool:
    """Whether code has its own path as a constant, which would be that of another file's code."""
    for each in constants:
        if type(each) is CodeType:
            each = each.co_consts
        if each == path or (isinstance(each, tuple | frozenset) and _names(each, path)):
            return True
    return False


def _copy(code: CodeType, path: str, other: str) -> CodeType:
    """The code of a file at ``path`` as that of ``other``."""
    constants = code.co_consts
    if any(type(each) is CodeType for each in constants):
        constants = tuple(
            _copy(each, path, other) if type(each) is CodeType else each for each in constants
        )
    name = other if code.co_filename == path else code.co_filename
    return code.replace(co_filename=name, co_consts=constants)


def _identity(path: str) -> tuple[Any, ...] | None:
    """What tells a file from all others and from its earlier states; None where it cannot be told.

    Two edits within one tick of the kernel's clock leave the same times.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    if time.time() - max(found.st_mtime, found.st_ctime) < YOUNG:
        return None
    return path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _executing(execute: Callable[..., None]) -> Callable[..., None]:
    def exec_module(self: Any, module: ModuleType) -> None:
        execute(self, module)
        if (kept := _KEPT.get(module.__name__)) is not None and contains(self.path):
            real, own = vars(internals.load_real(module.__name__)), vars(module)
            if real.get("Element") is own.get("Element"):  # else ElementTree without its C module
                own.update({name: real[name] for name in kept})

    return internals.as_importlib(exec_module)


def _archives(system: System) -> Callable[[str], Any]:
    """``zipimport`` needs ``io``: it is loaded when something is no directory, and may be a zip."""

    def zipimporter(path: str) -> Any:
        found = path
        while found and not os.path.exists(found):  # a directory in an archive
            found = os.path.dirname(found)
        if not os.path.isfile(found):
            raise ImportError(f"not a Zip file: {path!r}", path=path)
        return system.import_module("zipimport").zipimporter(path)

    return zipimporter


def _finders(external: Any) -> Callable[[str], Any]:
    """A path hook for the library's directories."""
    details = external._get_supported_file_loaders()

    class FileFinder(external.FileFinder):  # type: ignore[misc]
        def find_spec(self, fullname: str, target: object = None) -> Any:
            file = _list(self.path).get(fullname.rpartition(".")[2])
            if file is None:
                return None
            if not file.source:
                return super().find_spec(fullname, target)
            kind = external.ExtensionFileLoader if file.compiled else external.SourceFileLoader
            return external.spec_from_file_location(
                fullname,
                file.path,
                loader=kind(fullname, file.path),
                submodule_search_locations=None if file.package is None else [file.package],
            )

    def library(path: str) -> Any:
        if not contains(path) or not os.path.isdir(path):
            raise ImportError("not a directory of the standard library", path=path)
        return FileFinder(path, *details)

    return library


def _list(directory: str) -> dict[str, _File]:
    known = _listed.get(directory)
    if known is None:
        known = {}
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    _add(known, entry)
        except OSError:  # a Python without lib-dynload
            pass
        _listed[directory] = known
    return known


def _add(known: dict[str, _File], entry: os.DirEntry[str]) -> None:
    name, path = entry.name, entry.path
    if name.endswith(".py"):
        known.setdefault(name[:-3], _File(path, None))
        return
    for suffix in EXTENSION_SUFFIXES:
        if name.endswith(suffix):
            known[name.removesuffix(suffix)] = _File(path, None, compiled=True)
            return
    source = os.path.join(path, "__init__.py")
    if os.path.isfile(source):
        known[name] = _File(source, path)
    elif entry.is_dir():
        known.setdefault(name, _File(path, path, source=False))
