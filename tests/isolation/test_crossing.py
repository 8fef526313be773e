"""What a site does to its Python reaches no other site, nor the daemon's own code."""

from __future__ import annotations

import collections.abc
import gc
import json
import logging
import os
import resource
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mod_wsgi_van.interpreter.leftovers import leftovers, undo
from mod_wsgi_van.isolation.contract import Source
from mod_wsgi_van.isolation.imports import ImportsIsolation
from mod_wsgi_van.isolation.imports.isolation import ImportsInstance
from mod_wsgi_van.manual import pages
from tests.support.children import in_child
from tests.support.client import ask, get

MakeSource = Callable[..., Source]
Load = Callable[[str], ImportsInstance]

# All tests here share an isolation, whose thread begins when it has something to do.
pytestmark = pytest.mark.leaves_threads

# Runs what the request carries, as code of the site.
SITE = """
def app(environ, start_response):
    names = {"__name__": "app"}
    exec(environ["test.code"], names)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(names.get("seen")).encode()]
"""


ATTEMPT = """
def attempt(function, *arguments):
    try: return function(*arguments)
    except Exception as error: return type(error).__name__
"""


@dataclass(frozen=True)
class Way:
    """One way to reach others.

    ``modules`` are imported for ``do``, which a site does, and for ``look``, an expression.
    ``kept`` is False where the site itself must not see the change after its request.
    """

    modules: str
    do: str
    look: str
    kept: bool = True

    @property
    def looking(self) -> str:
        return f"{ATTEMPT}import {self.modules}\nseen = {self.look}"

    @property
    def doing(self) -> str:
        return f"import {self.modules}\n{textwrap.dedent(self.do)}"


def way(modules: str, do: str, look: str, kept: bool = True) -> Way:
    return Way(modules, do, look, kept)


CLASSES = {
    "threading.Thread.run": way(
        "threading", "threading.Thread.run = print", "threading.Thread.run"
    ),
    "threading.Thread.start": way(
        "threading", "threading.Thread.start = print", "threading.Thread.start"
    ),
    "http.client": way(
        "http.client",
        "http.client.HTTPConnection.putrequest = print",
        "http.client.HTTPConnection.putrequest",
    ),
    "json.JSONEncoder.default": way(
        "json", "json.JSONEncoder.default = lambda *a: 'mine'", "json.JSONEncoder.default"
    ),
    "what json encodes": way(
        "json",
        "json.JSONEncoder.default = lambda self, value: 'mine'\n"
        "json._default_encoder.default = lambda value: 'mine'",
        "json.dumps({1: 2}, default=None) if 0 else json.JSONEncoder().default.__name__",
    ),
    "ThreadPoolExecutor.submit": way(
        "concurrent.futures",
        "concurrent.futures.ThreadPoolExecutor.submit = print",
        "concurrent.futures.ThreadPoolExecutor.submit",
    ),
    "socket.socket.connect": way(
        "socket", "socket.socket.connect = print", "socket.socket.connect"
    ),
    "subprocess.Popen": way(
        "subprocess", "subprocess.Popen.__init__ = print", "subprocess.Popen.__init__"
    ),
    "pathlib.Path.open": way("pathlib", "pathlib.Path.open = print", "pathlib.Path.open"),
    "logging.Logger.handle": way(
        "logging", "logging.Logger.handle = print", "logging.Logger.handle"
    ),
    "logging.LogRecord.getMessage": way(
        "logging", "logging.LogRecord.getMessage = print", "logging.LogRecord.getMessage"
    ),
    "traceback.TracebackException": way(
        "traceback",
        "traceback.TracebackException.format = print",
        "traceback.TracebackException.format",
    ),
    "email.message.Message": way(
        "email.message",
        "email.message.Message.as_string = print",
        "email.message.Message.as_string",
    ),
    "collections.OrderedDict": way(
        "collections", "collections.Counter.most_common = print", "collections.Counter.most_common"
    ),
    "enum.Enum": way("enum", "enum.Enum.__str__ = lambda s: 'mine'", "str(enum.Enum.__str__)"),
    "ssl.SSLContext": way(
        "ssl", "ssl.SSLContext.wrap_socket = print", "ssl.SSLContext.wrap_socket"
    ),
    "asyncio.Future": way(
        "asyncio", "asyncio.BaseEventLoop.run_forever = print", "asyncio.BaseEventLoop.run_forever"
    ),
    "sqlite3.Row": way("sqlite3", "sqlite3.Row = int", "sqlite3.Row"),
    "queue.Queue.put": way("queue", "queue.Queue.put = print", "queue.Queue.put"),
    "io.IOBase": way("io", "io.IOBase.mine = 1", "hasattr(io.IOBase, 'mine')"),
}

FUNCTIONS = {
    "time.time": way("time", "time.time = lambda: 5", "time.time"),
    "time.sleep": way("time", "time.sleep = lambda s: None", "time.sleep"),
    "os.getpid": way("os, posix", "os.getpid = posix.getpid = lambda: 5", "os.getpid()"),
    "os.fspath": way("os", "os.fspath = print", "os.fspath"),
    "os.path.join": way("os.path, posixpath", "posixpath.join = print", "os.path.join"),
    "_socket.socket": way("_socket", "_socket.socket = int", "_socket.socket is int"),
    "socket.getaddrinfo": way("socket", "socket.getaddrinfo = print", "socket.getaddrinfo"),
    "socket.create_connection": way(
        "socket", "socket.create_connection = print", "socket.create_connection"
    ),
    "_thread.start_new_thread": way(
        "_thread", "_thread.start_new_thread = print", "_thread.start_new_thread is print"
    ),
    "_thread.allocate_lock": way(
        "_thread", "_thread.allocate_lock = print", "_thread.allocate_lock is print"
    ),
    "datetime.datetime": way("datetime", "datetime.datetime = int", "datetime.datetime"),
    "_io.open": way("io, _io", "_io.open = io.open = print", "io.open is print"),
    "itertools.chain": way("itertools", "itertools.chain = print", "itertools.chain"),
    "functools.partial": way("functools", "functools.partial = print", "functools.partial"),
    "marshal.loads": way("marshal", "marshal.loads = print", "marshal.loads is print"),
    "_imp.lock_held": way("_imp", "_imp.lock_held = print", "_imp.lock_held is print"),
    "zlib.compress": way("zlib", "zlib.compress = print", "zlib.compress is print"),
    "hashlib.md5": way("hashlib", "hashlib.md5 = hashlib.sha1", "hashlib.md5().name"),
    "_hashlib": way(
        "_hashlib, hashlib", "_hashlib.openssl_md5 = print", "_hashlib.openssl_md5 is print"
    ),
    "json.dumps": way("json", "json.dumps = print", "json.dumps"),
    "_json": way("_json", "_json.make_encoder = print", "_json.make_encoder is print"),
    "errno": way("errno", "errno.ENOENT = 99", "errno.ENOENT"),
    "sys.exc_info": way("sys", "sys.exc_info = print", "sys.exc_info is print"),
    "sys._getframe": way("sys", "sys._getframe = print", "sys._getframe is print"),
    "weakref.ref": way("weakref, _weakref", "_weakref.ref = print", "_weakref.ref"),
    "warnings.warn": way("warnings", "warnings.warn = print", "warnings.warn is print"),
    "uuid.uuid4": way("uuid", "uuid.uuid4 = lambda: 5", "uuid.uuid4"),
    "random.random": way("random", "random.random = lambda: 5", "random.random.__name__"),
    "importlib": way(
        "importlib", "importlib.import_module = print", "importlib.import_module is print"
    ),
    "inspect.stack": way("inspect", "inspect.stack = print", "inspect.stack"),
    "mod_wsgi": way("mod_wsgi", "mod_wsgi.version = 'mine'", "mod_wsgi.version"),
}

REGISTRIES = {
    "csv dialects": way("csv", "csv.register_dialect('mine')", "'mine' in csv.list_dialects()"),
    "csv field size": way("csv", "csv.field_size_limit(99)", "csv.field_size_limit()"),
    "mimetypes": way(
        "mimetypes", "mimetypes.add_type('text/x', '.mine')", "mimetypes.guess_type('a.mine')"
    ),
    "ElementTree namespaces": way(
        "xml.etree.ElementTree as ET",
        "ET.register_namespace('mine', 'urn:mine')",
        "ET.tostring(ET.Element('{urn:mine}a'))",
    ),
    "ElementTree factories": way(
        "xml.etree.ElementTree as ET",
        "ET.Comment.mine = 1; ET._set_factories(print, print)",
        "ET.Comment is print, type(ET.fromstring('<a><!--x--></a>')).__name__",
        kept=False,
    ),
    "minidom": way(
        "xml.dom",
        "xml.dom.registerDOMImplementation('mine', int)",
        "'mine' in xml.dom.domreg.registered",
    ),
    "sax": way("xml.sax", "xml.sax.default_parser_list[:] = []", "xml.sax.default_parser_list"),
    "copyreg": way(
        "copyreg, pickle",
        "copyreg.pickle(complex, lambda c: (int, (5,)))",
        "pickle.loads(pickle.dumps(1j))",
    ),
    "copyreg extensions": way(
        "copyreg", "copyreg.add_extension('a', 'b', 77)", "copyreg._extension_registry"
    ),
    "copyreg and copy": way(
        "copyreg, copy",
        "copyreg.pickle(slice, lambda s: (int, (5,)))",
        "type(copyreg.dispatch_table.get(slice))",
    ),
    "codecs": way(
        "codecs",
        "info = codecs.lookup('rot13')\n"
        "codecs.register(lambda name: info if name == 'mine' else None)\n"
        "codecs.encode('uryyb', 'mine')",
        "attempt(codecs.encode, 'uryyb', 'mine')",
    ),
    "codecs of text": way(
        "codecs, encodings.latin_1",
        "info = encodings.latin_1.getregentry()\n"
        "codecs.register(lambda name: info if name == 'my_latin' else None)\n"
        "'x'.encode('my-latin')",
        "attempt('x'.encode, 'my-latin')",
    ),
    "codecs looked up": way(
        "codecs",
        "info = codecs.lookup('rot13')\n"
        "codecs.register(lambda name: info if name == 'mine2' else None)",
        "attempt(codecs.lookup, 'mine2')",
    ),
    "codec error handlers": way(
        "codecs",
        "codecs.register_error('mine', lambda e: ('?', e.end))",
        "attempt('\\xe9'.encode, 'ascii', 'mine')",
    ),
    "codec error handlers in Python codecs": way(
        "codecs",
        "codecs.register_error('mine8', lambda e: ('?', e.end))",
        "attempt('\\u2603'.encode, 'iso8859-5', 'mine8')",
    ),
    "codec error handlers replaced": way(
        "codecs",
        "codecs.register_error('namereplace', lambda e: ('?', e.end))",
        "attempt('\\xe9'.encode, 'ascii', 'namereplace')",
    ),
    "encodings.aliases": way(
        "encodings.aliases",
        "encodings.aliases.aliases['mine'] = 'utf_8'",
        "'mine' in encodings.aliases.aliases",
    ),
    "shutil formats": way(
        "shutil",
        "shutil.register_archive_format('mine', print)",
        "'mine' in dict(shutil.get_archive_formats())",
    ),
    "warnings filters": way(
        "warnings",
        "warnings.simplefilter('error', DeprecationWarning)",
        "warnings.filters[0][:3]",
    ),
    "warnings shown once": way(
        "warnings", "warnings.onceregistry['mine'] = 1", "'mine' in warnings.onceregistry"
    ),
    "warnings.showwarning": way(
        "warnings", "warnings.showwarning = print", "warnings.showwarning is print"
    ),
    "logging levels": way(
        "logging", "logging.addLevelName(77, 'MINE')", "logging.getLevelName(77)"
    ),
    "logging root": way("logging", "logging.root.setLevel(1)", "logging.root.level"),
    "logging handlers": way(
        "logging",
        "logging.root.addHandler(logging.NullHandler())",
        "[type(h).__name__ for h in logging.root.handlers if type(h).__name__ == 'NullHandler']",
    ),
    "logging.disable": way("logging", "logging.disable(55)", "logging.root.manager.disable"),
    "logging record factory": way(
        "logging", "logging.setLogRecordFactory(print)", "logging.getLogRecordFactory() is print"
    ),
    "logging class": way(
        "logging",
        "class L(logging.Logger): pass\nlogging.setLoggerClass(L)",
        "logging.getLoggerClass().__name__",
    ),
    "logging.config": way(
        "logging.config",
        "logging.config.dictConfig({'version': 1, 'root': {'level': 'CRITICAL'}})",
        "logging.root.level",
    ),
    "logging.lastResort": way("logging", "logging.lastResort = None", "logging.lastResort is None"),
    "logging.captureWarnings": way(
        "logging, warnings", "logging.captureWarnings(True)", "warnings.showwarning.__module__"
    ),
    "atexit": way("atexit", "atexit.register(int)", "atexit._ncallbacks()"),
    "sys.path": way("sys", "sys.path.append('/mine')", "'/mine' in sys.path"),
    "sys.meta_path": way("sys", "sys.meta_path.append(5)", "5 in sys.meta_path", kept=True),
    "sys.path_hooks": way("sys", "sys.path_hooks.append(5)", "5 in sys.path_hooks"),
    "sys.path_importer_cache": way(
        "sys", "sys.path_importer_cache['/mine'] = None", "'/mine' in sys.path_importer_cache"
    ),
    "sys.modules": way(
        "sys", "sys.modules['mine'] = sys", "getattr(sys.modules.get('mine'), 'maxsize', None)"
    ),
    "a module taken out": way(
        "sys", "sys.modules['json'] = None", "sys.modules.get('json', 5) is None"
    ),
    "urllib opener": way(
        "urllib.request",
        "urllib.request.install_opener(urllib.request.OpenerDirector())",
        "urllib.request._opener is None",
    ),
    "sqlite3 adapters": way(
        "sqlite3",
        "sqlite3.register_adapter(complex, str)",
        "(complex, sqlite3.PrepareProtocol) in sqlite3.adapters",
    ),
    "sqlite3 adapters in C": way(
        "sqlite3",
        "sqlite3.register_adapter(int, lambda n: 'mine')",
        "(lambda c: (c.execute('select ?', (5,)).fetchall(), c.close()))"
        "(sqlite3.connect(':memory:'))",
        kept=False,
    ),
    "sqlite3 converters": way(
        "sqlite3", "sqlite3.register_converter('mine', str)", "'MINE' in sqlite3.converters"
    ),
    "abstract classes": way(
        "collections.abc",
        "collections.abc.Sized.register(int)",
        "isinstance(5, collections.abc.Sized)",
    ),
    "numbers": way("numbers", "numbers.Number.register(str)", "isinstance('', numbers.Number)"),
    "singledispatch": way(
        "pprint, functools, pkgutil",
        "pkgutil.iter_importer_modules.register(int, print)",
        "int in pkgutil.iter_importer_modules.registry",
    ),
    "gettext.install": way("gettext, builtins", "gettext.install('mine')", "'_' in vars(builtins)"),
    "gettext domain": way("gettext", "gettext.textdomain('mine')", "gettext.textdomain()"),
    "builtins added": way("builtins", "builtins.mine = 1", "hasattr(builtins, 'mine')"),
    "builtins replaced": way("builtins", "builtins.len = lambda x: 5", "len([])"),
    "builtins open": way("builtins", "builtins.open = print", "builtins.open is print"),
    "builtins __import__": way(
        "builtins",
        "before = builtins.__import__\nbuiltins.__import__ = lambda *a, **k: before(*a, **k)",
        "builtins.__import__.__name__",
    ),
    "builtins __build_class__": way(
        "builtins", "builtins.__build_class__ = lambda *a: 5", "builtins.__build_class__.__name__"
    ),
    "regular expressions": way("re", "re.purge(); re._cache['mine'] = 1", "'mine' in re._cache"),
    "linecache": way("linecache", "linecache.cache['mine'] = 1", "'mine' in linecache.cache"),
    "typing": way(
        "typing", "typing._collect_parameters = print", "typing.Optional[int]", kept=False
    ),
    "typing internals": way("typing", "typing._GenericAlias = int", "typing._GenericAlias"),
    "tokenize": way("token", "token.NAME = 99", "token.NAME"),
    "keyword": way("keyword", "keyword.kwlist.append('mine')", "'mine' in keyword.kwlist"),
    "string": way("string", "string.digits = 'mine'", "string.digits"),
    "html entities": way(
        "html, html.entities", "html.entities.html5['mine;'] = 'x'", "html.unescape('&mine;')"
    ),
    "urllib.parse": way(
        "urllib.parse",
        "urllib.parse.uses_netloc.append('mine')",
        "'mine' in urllib.parse.uses_netloc",
    ),
    "http cookies": way(
        "http.cookies",
        "http.cookies.Morsel._reserved['mine'] = 'Mine'",
        "'mine' in http.cookies.Morsel._reserved",
    ),
    "email.charset": way(
        "email.charset", "email.charset.add_charset('mine')", "'mine' in email.charset.CHARSETS"
    ),
    "sysconfig": way(
        "sysconfig",
        "sysconfig.get_config_vars()['mine'] = 1",
        "'mine' in sysconfig.get_config_vars()",
    ),
    "multiprocessing": way(
        "multiprocessing",
        "multiprocessing.set_start_method('spawn', force=True)",
        "multiprocessing.get_start_method(allow_none=True)",
    ),
    "ctypes function types": way(
        "ctypes",
        "ctypes.CFUNCTYPE(None, *[ctypes.c_int] * 9)",
        "((None, (ctypes.c_int,) * 9, 1)) in [(k[0], k[1][:9], k[2]) for k in "
        "ctypes._c_functype_cache]",
        kept=True,
    ),
    "names of errors": way("errno", "errno.errorcode[999] = 'EMINE'", "errno.errorcode.get(999)"),
    "names of sysconf": way("os", "os.sysconf_names['mine'] = 1", "'mine' in os.sysconf_names"),
    "names of pathconf": way("os", "os.pathconf_names['mine'] = 1", "'mine' in os.pathconf_names"),
    "names of confstr": way("os", "os.confstr_names['mine'] = 1", "'mine' in os.confstr_names"),
    "os.supports_fd": way("os", "os.supports_fd.add(5)", "5 in os.supports_fd"),
}

DEFAULTS = {
    "decimal context": way(
        "decimal", "decimal.getcontext().prec = 3", "decimal.Decimal(1) / 3", kept=False
    ),
    "decimal context set": way(
        "decimal",
        "decimal.setcontext(decimal.Context(prec=3))",
        "decimal.Decimal(1) / 3",
        kept=False,
    ),
    "decimal default": way(
        "decimal", "decimal.DefaultContext.prec = 3", "decimal.DefaultContext.prec"
    ),
    "decimal default in a thread": way(
        "decimal, threading",
        "decimal.DefaultContext.prec = 3",
        "[found for found in [[]] for t in [threading.Thread(target=lambda: "
        "found.append(decimal.getcontext().prec))] if not t.start() and not t.join()]",
    ),
    "decimal basic context": way(
        "decimal", "decimal.BasicContext.prec = 3", "decimal.BasicContext.prec"
    ),
    "random.seed": way(
        "random", "random.seed(5)", "random.getstate()[1][:3] == random.Random(5).getstate()[1][:3]"
    ),
    "tempfile.tempdir": way("tempfile", "tempfile.tempdir = '/mine'", "tempfile.gettempdir()"),
    "socket time-out": way("socket", "socket.setdefaulttimeout(5)", "socket.getdefaulttimeout()"),
    "socket time-out of a socket": way(
        "socket",
        "socket.setdefaulttimeout(5)",
        "[s.gettimeout() for s in socket.socketpair() if not s.close()]",
    ),
    "ssl context": way(
        "ssl",
        "ssl._create_default_https_context = ssl._create_unverified_context",
        "ssl._create_default_https_context.__name__",
    ),
    "asyncio policy": way(
        "asyncio",
        "class P(asyncio.DefaultEventLoopPolicy): pass\nasyncio.set_event_loop_policy(P())",
        "type(asyncio.get_event_loop_policy()).__name__",
    ),
    "closed event loop": way(
        "asyncio",
        "loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop); loop.close()",
        "attempt(lambda: asyncio.get_event_loop_policy()._local._loop.is_closed())",
    ),
    "running loop": way(
        "asyncio",
        "asyncio._set_running_loop(type('L', (), {})())",
        "type(asyncio._get_running_loop()).__name__",
        kept=False,
    ),
    "zoneinfo paths": way("zoneinfo", "zoneinfo.reset_tzpath(['/mine'])", "zoneinfo.TZPATH"),
    "zoneinfo classes": way(
        "zoneinfo",
        "zoneinfo.reset_tzpath(['/mine']); zoneinfo.ZoneInfo.clear_cache()",
        "attempt(zoneinfo.ZoneInfo, 'Europe/Paris')",
    ),
    "locale": way(
        "locale", "locale.setlocale(locale.LC_CTYPE, 'C')", "locale.setlocale(locale.LC_CTYPE)"
    ),
    "locale aliases": way(
        "locale", "locale.locale_alias['mine'] = 'C'", "'mine' in locale.locale_alias"
    ),
    "strptime": way(
        "datetime, _strptime, time",
        "_strptime._strptime_datetime = _strptime._strptime_time = lambda *a: 5",
        "attempt(datetime.datetime.strptime, '2000', '%Y'), attempt(time.strptime, '2000', '%Y')",
        kept=False,
    ),
    "strptime cache": way(
        "_strptime", "_strptime._regex_cache['mine'] = 1", "'mine' in _strptime._regex_cache"
    ),
    "calendar": way("calendar", "calendar.setfirstweekday(6)", "calendar.firstweekday()"),
    "struct_time": way("time", "time.struct_time = tuple", "time.struct_time is tuple"),
    "fractions": way(
        "fractions",
        "fractions.Fraction.__str__ = lambda s: 'mine'",
        "str(fractions.Fraction(1, 2))",
    ),
    "textwrap": way("textwrap", "textwrap.TextWrapper.x = 1", "hasattr(textwrap.TextWrapper, 'x')"),
    "sqlite3 callback tracebacks": way(
        "sqlite3",
        "sqlite3.enable_callback_tracebacks(True); sqlite3.apilevel = 'mine'",
        "sqlite3.apilevel",
    ),
    "stack size": way("threading", "threading.stack_size(1 << 20)", "threading.stack_size()"),
    "umask of tempfile": way("tempfile", "tempfile.template = 'mine'", "tempfile.template"),
    "environ": way("os", "os.environ['MINE'] = '1'", "os.environ.get('MINE')"),
    "environ of C code": way(
        "os, ctypes",
        "os.environ['MINE'] = '1'",
        "ctypes.CDLL(None).getenv(b'MINE')",
        kept=False,
    ),
    "putenv": way(
        "os, ctypes", "os.putenv('MINE', '1')", "ctypes.CDLL(None).getenv(b'MINE')", kept=False
    ),
    "environ of children": way(
        "os, subprocess",
        "os.environ['MINE'] = '1'",
        "subprocess.run('echo $MINE', shell=True, capture_output=True).stdout",
    ),
    "time zone": way(
        "os, time",
        "os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "time.tzname, time.localtime(0).tm_hour",
    ),
    "time zone of datetime": way(
        "os, time, datetime",
        "os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "datetime.datetime.fromtimestamp(0), datetime.date.fromtimestamp(60000)",
    ),
}

HOOKS = {
    "gc.disable": way("gc", "gc.disable()", "gc.isenabled()"),
    "gc.set_threshold": way("gc", "gc.set_threshold(5)", "gc.get_threshold()"),
    # The daemon's own count changes whenever it collects.
    "gc.freeze": way("gc", "gc.freeze()", "__name__ != 'daemon' and gc.get_freeze_count()"),
    "gc.set_debug": way("gc", "gc.set_debug(gc.DEBUG_UNCOLLECTABLE)", "gc.get_debug()", kept=False),
    "gc.callbacks": way("gc", "gc.callbacks.append(int)", "int in gc.callbacks"),
    "gc.callbacks called": way(
        "gc, builtins",
        "builtins.seen = 0\n"
        "def count(phase, info): builtins.seen += 1\n"
        "gc.callbacks.append(count)\n"
        "gc.collect()",
        "(gc.collect(0), getattr(builtins, 'seen', None))[1]",
    ),
    "recursion limit": way("sys", "sys.setrecursionlimit(500)", "sys.getrecursionlimit()"),
    "switch interval": way("sys", "sys.setswitchinterval(0.5)", "sys.getswitchinterval()"),
    "trace function": way("sys", "sys.settrace(lambda *a: None)", "sys.gettrace()", kept=False),
    "profile function": way(
        "sys", "sys.setprofile(lambda *a: None)", "sys.getprofile()", kept=False
    ),
    "integer digits": way("sys", "sys.set_int_max_str_digits(640)", "sys.get_int_max_str_digits()"),
    "integer digits in C": way(
        "sys", "sys.set_int_max_str_digits(640)", "attempt(int, '1' * 700) > 5", kept=False
    ),
    "sys.displayhook": way("sys", "sys.displayhook = print", "sys.displayhook is print"),
    "sys.excepthook": way("sys", "sys.excepthook = print", "sys.excepthook is print"),
    "sys.unraisablehook": way("sys", "sys.unraisablehook = print", "sys.unraisablehook is print"),
    "sys.breakpointhook": way("sys", "sys.breakpointhook = print", "sys.breakpointhook is print"),
    "sys.stdout": way("sys", "sys.stdout = None", "sys.stdout is None"),
    "sys.stderr": way("sys", "sys.stderr = None", "sys.stderr is None"),
    "sys.argv": way("sys", "sys.argv.append('mine')", "'mine' in sys.argv"),
    "sys.tracebacklimit": way(
        "sys", "sys.tracebacklimit = 5", "getattr(sys, 'tracebacklimit', None)"
    ),
    "sys.flags": way("sys", "sys.flags = 5", "sys.flags"),
    "sys.warnoptions": way("sys", "sys.warnoptions.append('mine')", "'mine' in sys.warnoptions"),
    "sys.implementation": way("sys", "sys.implementation.name = 'mine'", "sys.implementation.name"),
    "sys.dont_write_bytecode": way("sys", "sys.dont_write_bytecode = 5", "sys.dont_write_bytecode"),
    "audit hook": way(
        "sys, builtins",
        "builtins.seen = 0\n"
        "def hook(event, arguments):\n"
        "    if event == 'mine': builtins.seen += 1\n"
        "sys.addaudithook(hook)\n"
        "sys.audit('mine')",
        "(sys.audit('mine'), getattr(builtins, 'seen', None))[1]",
    ),
    "hooks of asynchronous generators": way(
        "sys",
        "sys.set_asyncgen_hooks(print, print)",
        "tuple(sys.get_asyncgen_hooks())",
        kept=False,
    ),
    "origin of coroutines": way(
        "sys",
        "sys.set_coroutine_origin_tracking_depth(5)",
        "sys.get_coroutine_origin_tracking_depth()",
        kept=False,
    ),
    "dlopen flags": way("sys", "sys.setdlopenflags(0x102)", "sys.getdlopenflags()"),
    "threading.settrace": way("threading", "threading.settrace(print)", "threading._trace_hook"),
    "threading.excepthook": way(
        "threading", "threading.excepthook = print", "threading.excepthook is print"
    ),
    "threads known": way(
        "threading", "threading._active['mine'] = 5", "'mine' in threading._active"
    ),
    "register_at_fork": way(
        "os, builtins",
        "builtins.seen = 0\n"
        "def count(): builtins.seen += 1\n"
        "os.register_at_fork(before=count)\n"
        "pid = os.fork()\n"
        "if not pid: os._exit(0)\n"
        "os.waitpid(pid, 0)",
        "getattr(builtins, 'seen', None)",
    ),
    "signal handlers": way(
        "signal",
        "signal.signal(signal.SIGUSR2, lambda *a: None)",
        "signal.getsignal(signal.SIGUSR2)",
        kept=False,
    ),
    "signal wake-up": way(
        "signal, os",
        "read, write = os.pipe(); os.set_blocking(write, False); signal.set_wakeup_fd(write)\n"
        "os.close(read), os.close(write)",
        "signal.set_wakeup_fd(-1)",
        kept=False,
    ),
    "signal mask": way(
        "signal",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})",
        "signal.pthread_sigmask(signal.SIG_BLOCK, ())",
        kept=False,
    ),
    "signal timers": way(
        "signal",
        "signal.setitimer(signal.ITIMER_REAL, 1000)",
        "signal.getitimer(signal.ITIMER_REAL)[0] > 0",
        kept=False,
    ),
    "errno of ctypes": way("ctypes", "ctypes.set_errno(77)", "ctypes.get_errno()", kept=False),
    "profiler": way(
        "_lsprof, builtins",
        "builtins.p = _lsprof.Profiler(); builtins.p.enable()",
        "__import__('sys').getprofile()",
        kept=False,
    ),
    "context variables": way(
        "contextvars, builtins",
        "builtins.v = contextvars.ContextVar('mine'); builtins.v.set(5)",
        "attempt(lambda: __import__('builtins').v.get())",
    ),
    "pdb": way("pdb, bdb", "bdb.Breakpoint.bplist['mine'] = 5", "'mine' in bdb.Breakpoint.bplist"),
    "readline": way("rlcompleter", "rlcompleter.Completer = 5", "rlcompleter.Completer"),
    "unittest.mock": way(
        "unittest.mock, subprocess",
        "unittest.mock.patch('subprocess.run').start()",
        "type(subprocess.run).__name__",
    ),
}

WAYS = CLASSES | FUNCTIONS | REGISTRIES | DEFAULTS | HOOKS


def run(code: str) -> str:
    """As code of the daemon, as the site does."""
    undo()
    names: dict[str, Any] = {"__name__": "daemon"}
    exec(code, names)
    return repr(names.get("seen"))


def asked(loaded: ImportsInstance, code: str) -> str:
    """As code of a site, in a request: what a server's thread does first, see the router."""
    undo()
    answer = ask(loaded.application, **{"test.code": code})
    assert answer.status == 200
    return answer.body


@pytest.fixture(scope="module")
def load_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    isolation = ImportsIsolation()
    loaded: list[ImportsInstance] = []
    sys.modules["mod_wsgi"] = server = ModuleType("mod_wsgi")
    vars(server)["version"] = (6, 1, 1)

    def load(host: str) -> ImportsInstance:
        directory = tmp_path_factory.mktemp("site") / "wsgi"
        directory.mkdir()
        (directory / "app.py").write_text(SITE)
        source = Source(host, str(directory), "", (), "app", "app", "")
        loaded.append(isolation.load(source))
        return loaded[-1]

    yield load
    for one in loaded:
        one.retire()
    isolation.shutdown(5)
    del sys.modules["mod_wsgi"]


@pytest.fixture(scope="module")
def other(load_site: Load) -> ImportsInstance:
    return load_site("other.test")


@pytest.mark.filterwarnings(r"ignore:'asyncio\..*olicy' is deprecated")  # from Python 3.14 on
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_stays_with_the_site(way: Way, load_site: Load, other: ImportsInstance) -> None:
    site = load_site("site.test")
    try:
        own = asked(site, way.looking)
        others, daemons = asked(other, way.looking), run(way.looking)
        asked(site, way.doing)
        assert asked(other, way.looking) == others
        assert run(way.looking) == daemons
        if way.kept:
            assert asked(site, way.looking) != own, "the site does not see what it did"
    finally:
        site.retire()


def test_the_router_gives_a_thread_back_as_it_was(
    make_router: Callable[..., Any], tmp_path: Path
) -> None:
    for host in ("one.test", "two.test"):
        directory = tmp_path / host / "wsgi"
        directory.mkdir(parents=True)
        (directory / "app.py").write_text(SITE)
    router = make_router(isolation="imports")
    look = (
        "import asyncio, decimal, sys\n"
        "seen = [decimal.getcontext().prec, sys.gettrace(), asyncio._get_running_loop()]\n"
    )
    leave = (
        "import asyncio, decimal, sys\n"
        "decimal.getcontext().prec = 3; sys.settrace(lambda *a: None)\n"
        "asyncio._set_running_loop(5)\n"
    )

    def asks(host: str, code: str) -> str:
        return get(router.application, host, **{"test.code": code}).body

    before = asks("two.test", look)
    asks("one.test", leave)
    assert asks("two.test", look) == before == "[28, None, None]"
    assert not leftovers or set(leftovers) == {threading.get_ident()}


# What reaches others all the same: the rows of the table in the manual. Modules, what a site does,
# what another and the daemon then find true, and the way back.
CROSSES = {
    "gc.garbage": ("gc", "gc.garbage.append(5)", "5 in gc.garbage", "gc.garbage.remove(5)"),
    "tracemalloc": (
        "tracemalloc",
        "tracemalloc.start()",
        "tracemalloc.is_tracing()",
        "tracemalloc.stop()",
    ),
    "faulthandler": (
        "faulthandler",
        "faulthandler.disable()",
        "not faulthandler.is_enabled()",
        "faulthandler.enable(2)",
    ),
    "sys.set_int_max_str_digits": (
        "sys",
        "sys.set_int_max_str_digits(9999)",
        "len(str(10**5000)) == 5001",
        "sys.set_int_max_str_digits(4300)",
    ),
    "sys.monitoring": (
        "sys",
        "sys.monitoring.use_tool_id(4, 'mine')",
        "sys.monitoring.get_tool(4) == 'mine'",
        "",  # the end of the release
    ),
    "os.umask": ("os", "os.umask(0o77)", "[os.umask(0o77)] == [0o77]", "os.umask(0o22)"),
    "os.chdir": ("os", "os.chdir('/proc')", "os.getcwd() == '/proc'", "os.chdir('{0}')"),
    "resource.setrlimit": (
        "resource",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(4)[1]))",
        "resource.getrlimit(resource.RLIMIT_CORE)[0] == 0",
        "resource.setrlimit(resource.RLIMIT_CORE, {1})",
    ),
    "io.UnsupportedOperation": (
        "io",
        "io.UnsupportedOperation.mine = 5",
        "hasattr(io.UnsupportedOperation, 'mine')",
        "del io.UnsupportedOperation.mine",
    ),
    "__subclasses__": (
        "builtins",
        "class Mine(LookupError): pass\nbuiltins.mine = Mine",
        "'Mine' in [each.__name__ for each in LookupError.__subclasses__()]",
        "",
    ),
}


# Python 3.11 has no sys.monitoring.
CROSSES_HERE = [name for name in CROSSES if hasattr(sys, "monitoring") or "monitoring" not in name]


@pytest.mark.parametrize("name", CROSSES_HERE)
def test_reaches_others_and_the_manual_says_so(
    name: str, load_site: Load, other: ImportsInstance
) -> None:
    modules, do, look, back = CROSSES[name]
    site = load_site("site.test")
    looking = f"import {modules}\nseen = {look}"
    back = back.format(os.getcwd(), resource.getrlimit(resource.RLIMIT_CORE))
    try:
        asked(site, f"import {modules}\n{do}")
        assert asked(other, looking) == run(looking) == "True"
    finally:
        run(f"import {modules}\n{back}")
        site.retire()


def test_the_manual_lists_what_reaches_others() -> None:
    page = pages()["isolation"].partition("## What sites in the daemon process share")[2]
    rows = [row.split("`")[1] for row in page.partition("\n## ")[0].splitlines() if "| `" in row]
    assert rows == list(CROSSES)


# A hook of a site, which counts its calls, and what others do.
HOOKED = {
    "gc.callbacks": ("gc.callbacks.append(count)", "gc.collect(0)"),
    "audit": (
        "sys.addaudithook(lambda event, a: count() if event == 'any' else None)",
        "sys.audit('any')",
    ),
    "trace": ("sys.settrace(count)", "(lambda: None)()"),
    "profile": ("sys.setprofile(count)", "(lambda: None)()"),
    "asyncgen": ("sys.set_asyncgen_hooks(count, count)", "iterate()"),
    "displayhook": ("sys.displayhook = count", "exec(compile('5', '', 'single'))"),
    "stdout": ("sys.stdout = type('Out', (), {'write': count})()", "print('any')"),
    "warnings": ("warnings.showwarning = count", "warn()"),
    "logging": (
        "logging.root.handlers = [type('H', (logging.NullHandler,), {'handle': count})()]",
        "logging.warning('any')",
    ),
    "threads": ("threading.Thread.run = count", "run_thread()"),
    "import": (
        "sys.meta_path.insert(0, type('F', (), {'find_spec': count}))",
        "attempt(__import__, 'not_there')",
    ),
    "open": ("builtins.open = count", "open('/dev/null').close()"),
    "time": ("time.time = count", "time.time()"),
    "json": ("json.JSONEncoder.default = count", "attempt(json.dumps, {1: object()})"),
    "codecs": ("codecs.register(count)", "attempt(codecs.lookup, 'not_there_2')"),
}
HOOKED_CODE = (
    ATTEMPT
    + """
import builtins, codecs, gc, json, logging, sys, threading, time, warnings
def count(*arguments, **named): builtins.seen.append(arguments)
def iterate():
    async def generator(): yield 1
    try: generator().__anext__().send(None)
    except StopIteration: pass
def run_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
def warn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("any")
"""
)


@pytest.mark.parametrize("name", HOOKED)
def test_hook_is_not_called_for_others(
    name: str, load_site: Load, other: ImportsInstance, caplog: pytest.LogCaptureFixture
) -> None:
    set_, act = HOOKED[name]
    site = load_site("site.test")
    seen = "import builtins\nseen = len(builtins.seen)"
    try:
        asked(site, f"{HOOKED_CODE}builtins.seen = []\n{set_}")
        before = asked(site, seen)
        for _ in range(2):
            asked(other, f"{HOOKED_CODE}{act}")
            run(f"{HOOKED_CODE}{act}")
        assert asked(site, seen) == before
    finally:
        site.retire()


TOOL = """
import builtins, sys
builtins.seen = []
sys.monitoring.use_tool_id(4, "mine")
start = sys.monitoring.events.PY_START
sys.monitoring.register_callback(4, start, lambda code, at: builtins.seen.append(code.co_name))
sys.monitoring.set_events(4, start)
"""


if sys.version_info >= (3, 12):  # Python 3.11 has neither

    def test_tracing_all_threads_and_tools_that_monitor(
        load_site: Load, other: ImportsInstance
    ) -> None:
        site = load_site("site.test")
        all_threads = "import threading\nthreading.settrace_all_threads(lambda *a: None)"
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            asked(site, all_threads)
            assert pool.submit(sys.gettrace).result() is None
        undo()
        asked(site, TOOL)
        theirs = "def theirs(): pass\ntheirs()\n"
        asked(other, theirs), run(theirs)
        names = asked(site, "def own(): pass\nown()\nimport builtins\nseen = builtins.seen")
        assert "'own'" in names and "'theirs'" not in names
        tool = "import sys\nseen = sys.monitoring.get_tool(4)"
        assert run(tool) == "'mine'"
        site.retire()
        assert run(tool) == "None"


def test_the_daemon_called_by_a_site_runs_code_of_its_own(
    load_site: Load, caplog: pytest.LogCaptureFixture
) -> None:
    """start_response logs, and imports what it had no need of before."""
    site = load_site("site.test")
    patches = (
        "import builtins, json, logging, sys, threading, time, traceback\n"
        "def never(*a, **k): raise SystemExit('a patch was run')\n"
        "logging.Logger.handle = logging.Logger.makeRecord = logging.LogRecord.__init__ = never\n"
        "time.time = json.dumps = traceback.format_exc = threading.current_thread = never\n"
        "builtins.__import__ = builtins.print = builtins.open = never\n"
        "sys.meta_path[:] = [type('F', (), {'find_spec': never})]\n"
    )
    asked(site, patches)
    sys.modules.pop("colorsys", None)
    done: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        import colorsys

        try:
            raise ValueError("any")
        except ValueError:
            logging.getLogger("tests.crossing").exception("%s", json.dumps([colorsys.ONE_THIRD]))
        done.append(colorsys)
        return lambda data: None

    site.application({"test.code": "", "REQUEST_METHOD": "GET"}, start_response)
    assert [each.__name__ for each in done] == ["colorsys"] and "ValueError: any" in caplog.text
    site.retire()


def test_signals_in_a_thread_of_a_server(load_site: Load) -> None:
    """As under mod_wsgi: remembered, never called, no reason to fail."""
    site = load_site("site.test")
    code = (
        "import signal\n"
        "before = signal.signal(signal.SIGUSR2, signal.default_int_handler)\n"
        "seen = [before, signal.getsignal(signal.SIGUSR2) is signal.default_int_handler]\n"
    )
    with ThreadPoolExecutor(1) as server:
        assert server.submit(asked, site, code).result() == "[<Handlers.SIG_DFL: 0>, True]"
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    site.retire()


def count() -> list[int]:
    """What the interpreter has, that code of every site or the daemon's looks through."""
    kinds = (collections.abc.Mapping, collections.abc.MutableMapping, collections.abc.Sized)
    tables = (sys.modules, gc.callbacks, sys.path_hooks, sys.path_importer_cache, leftovers)
    return [*(len(kind.__subclasses__()) for kind in kinds), *map(len, tables)]


def test_no_table_of_the_process_grows_by_the_number_of_sites(load_site: Load) -> None:
    """None of 1,000 sites makes what another does cost more."""

    def load() -> None:
        counts = {}
        for number in range(1, 1001):
            asked(load_site(f"{number}.test"), "import collections.abc, os, csv, errno")
            if number in (10, 1000):
                counts[number] = count()
        assert counts[1000] == counts[10]

    in_child(load, 300)  # which ends without retiring them
