"""Which libraries may be loaded again and again in one process, beside other versions of them.

``python -m integration.reloads`` tries each module in ``libraries`` under every Python that this
machine has; with ``--write`` it writes ``mod_wsgi_van/isolation/tested.tsv``, by which
``isolation="auto"`` decides. A library that is new to the list needs a file in ``libraries`` and no
more: its docstring says what is installed, a line for each range of versions whose lowest and
newest are tried; its ``use()`` returns a text that is the same in every process. ``PROCESS`` in it
says what it changes of the process, where no look at the process tells. ``OPTIONAL`` says what its
compiled part is for, where an application does not notice that there is none: where the library
does not fit, it is tried without that part.
"""
