"""Limits that the interpreter has one of: the largest that a release has set, so that none lowers
another's."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable

from mod_wsgi_van.isolation.imports.system import System, put

_NONE = sys.maxsize  # stands for no limit of digits


class Limit:
    """``own`` has that of each release, by the identity of its System. Written by any thread."""

    def __init__(self, current: Callable[[], int], change: Callable[[int], None]) -> None:
        self._current = current
        self._change = change
        self.default = current()
        self.own: dict[int, int] = {}

    def begin(self, system: System) -> None:
        if not self.own:
            self.default = self._current()
        self.own[id(system)] = self.default
        if self._current() < self.default:
            self._change(self.default)

    def end(self, system: System) -> None:
        if self.own.pop(id(system), self.default) != self.default:
            self._change(max(set(self.own.values()), default=self.default))


def _current_digits() -> int:
    return sys.get_int_max_str_digits() or _NONE


def _change_digits(limit: int) -> None:
    sys.set_int_max_str_digits(limit % _NONE)


_recursion = Limit(sys.getrecursionlimit, sys.setrecursionlimit)
_digits = Limit(_current_digits, _change_digits)


def limits(system: System) -> None:
    """Give a release the functions that get and set its limits."""
    names = vars(system.sys)
    _recursion.begin(system)
    _digits.begin(system)

    def setrecursionlimit(limit: int, /) -> None:
        """Calls C code alone: the interpreter counts calls when it looks whether it is too low."""
        limits = _recursion.own
        before = limits.get(id(system), _recursion.default)
        limits[id(system)] = operator.index(limit)
        try:
            sys.setrecursionlimit(max(set(limits.values())))
        except BaseException:  # no limit, or too low where it is set
            limits[id(system)] = before
            raise

    def getrecursionlimit() -> int:
        return _recursion.own.get(id(system), _recursion.default)

    def set_int_max_str_digits(maxdigits: int) -> None:
        if maxdigits and maxdigits < sys.int_info.str_digits_check_threshold:
            sys.set_int_max_str_digits(maxdigits)  # raises an error
        _digits.own[id(system)] = operator.index(maxdigits) or _NONE
        _change_digits(max(set(_digits.own.values())))

    def get_int_max_str_digits() -> int:
        return _digits.own.get(id(system), _digits.default) % _NONE

    put(system, names, "sys", setrecursionlimit, getrecursionlimit)
    put(system, names, "sys", set_int_max_str_digits, get_int_max_str_digits)
    names["setrecursionlimit"] = names["setrecursionlimit"].__func__  # one call less


def forget_limits(system: System) -> None:
    """The release is retired."""
    _recursion.end(system)
    _digits.end(system)
