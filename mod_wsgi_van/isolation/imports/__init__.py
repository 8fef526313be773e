"""The isolation in this process: a private import system per release.

What is wanted: two vhosts in one process, each with its own ``app``, ``settings``, Flask and
NumPy, served by the same threads at the same time. Nothing may be swapped when a request begins
(other threads are in the middle of theirs), and nothing may be looked up per request.

**A second importlib.** CPython's import system is Python code, ``importlib._bootstrap`` and
``_bootstrap_external``, written to have a ``sys`` and an ``_imp`` injected. Executed once more with
a ``sys`` module of our own, whose ``modules``, ``path``, ``meta_path``, ``path_hooks`` and
``path_importer_cache`` are the release's, it is a complete import system that shares nothing with
the first. ``system`` is what one consists of, ``building`` makes it, ``private_sys`` makes its
``sys``.

**How code finds it.** The import statement calls the ``__import__`` that it finds in the builtins
of the running frame, and a frame has the builtins of the module that its function was defined in.
So every module of a release is executed with builtins of the release's own, with a ``__import__``
of its own (``importing``), and finds the right system in any function, thread, coroutine or
callback, today or in an hour. There is no context to carry.

**Who is asking.** Code that is not the release's, but runs for it, asks: the nearest frame on the
stack whose builtins are private says which release it is (``asking``). A thread that a release
starts begins in such a frame (``threads``).

**The standard library is shared**, except for copies of the modules that hold import state or
settings that sites would fight over: importlib, os with its environ, logging, warnings, subprocess
and others (``sharing`` lists them, ``privates`` changes them). A file of the application hides a
standard module of its name, as usual. What is shared is loaded by the real import system, on behalf
of nobody.

**The real sys.modules.** pickle, typing, dataclasses, inspect and C code look modules up there by
name. It holds a stand-in per name, which sends attribute access to the module of whoever asks
(``standins``). C code is shown the true module, for the moment in which it looks (``importing``),
and extension modules that put themselves in the table are taken out again (``extensions``).

**The end.** A release that is retired runs its own exit handlers; then the standard library and
the server's threads are made to forget it (``purge``, ``contexts``), and the garbage collector
takes it as a whole (``isolation``). No registry of modules stands in the way of that: the release's
own is the only one.

**Limits.** Whatever belongs to the process: the C environment and the time zone, the working
directory, signals, codec error handlers, changes to shared standard modules (gevent's patches),
a crash, the GIL. Shared modules read the daemon's ``os.environ`` and log to its loggers. Vhosts
whose C libraries keep state in the process or the thread (two versions of lxml in one thread), or
refuse a second load (NumPy after a reload), belong in a worker process.

All private names of CPython stand in ``internals``, and are checked before the first load.
"""

from mod_wsgi_van.isolation.imports.isolation import ImportsIsolation

__all__ = ["ImportsIsolation"]
