"""The isolation in this process: a Python of its own for each release.

What is wanted: two vhosts in one process, each with its own ``app``, ``settings``, Flask and
standard library, served by the same threads at the same time. Nothing may be swapped when a request
begins (other threads are in the middle of theirs), and nothing may be looked up per request.

**A second importlib.** CPython's import system is Python code, ``importlib._bootstrap`` and
``_bootstrap_external``, written to have a ``sys`` and an ``_imp`` injected. Executed once more with
a ``sys`` module of our own it is a complete import system that shares nothing with the first.
``system`` is what a release consists of, ``building`` makes it, ``private_sys`` makes its ``sys``.

**How code finds it.** The import statement calls the ``__import__`` that it finds in the builtins
of the running frame, and a frame has the builtins of the module that its function was defined in.
So every module of a release is executed with builtins of the release's own, with a ``__import__``
of its own (``importing``), and finds the right system in any function, thread, coroutine or
callback, today or in an hour. There is no context to carry.

**A standard library of its own.** That importlib loads the library's Python files for the release
as it loads the application's, when they are first imported: what a site patches, registers or sets
there is its own. Only code objects are shared (``library``). Of a compiled module the release has a
second instance where the module allows that (PEP 489); else it sees the one of the process through
a module object of its own (``namespaces``), with private functions in front where state of the
process is behind (``fronts``), as a time zone of the release's own (``zones``, ``dates``).

**Who is asking.** C code that looks at the process asks on behalf of the nearest Python frame: its
builtins say which release it is (``asking``). The real ``sys.modules`` holds a stand-in per name,
which sends attribute access to the module of whoever asks (``standins``), and the real ``sys``
holds such streams and hooks (``streams``). C code that imports is shown the true module for the
moment in which it looks (``importing``); extension modules that put themselves in the table are
taken out again (``extensions``).

**The end.** A release that is retired runs its exit handlers; then what the process keeps of it is
taken back (``purge``, ``contexts``), and the garbage collector takes it as a whole.

**Limits.** Whatever belongs to the process: the page on isolation in the manual lists it. Vhosts
whose C libraries keep state in the process or the thread (two versions of lxml in one thread), or
refuse a second load (NumPy after a reload), belong in a worker process.

All private names of CPython stand in ``internals``, and are checked before the first load.
"""

from mod_wsgi_van.isolation.imports.isolation import ImportsIsolation

__all__ = ["ImportsIsolation"]
