"""The one table of codes: what a line of the log that begins with VANnnn means, and what to do.

``mod-wsgi-van explain`` and the manual's page on operations are made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_LIVE = "A deploy does not go live"
LATE = "A change is noticed late, or not at all"
AGAIN = "A site reloads although nobody deployed"
MEMORY = "Memory grows"
SLOW = "All sites answer late, together"
S400 = "Clients get 400"
S404 = "Clients get 404"
S500 = "Clients get 500"
S502 = "Clients get 502, or a response that is cut off"
S503 = "Clients get 503"
S504 = "Clients get 504"


@dataclass(frozen=True, slots=True)
class Code:
    """``symptoms`` are what an operator may see before the line in the log."""

    cause: str
    outcome: str
    action: str
    symptoms: tuple[str, ...] = ()


_LOAD = "The old release goes on serving. Without one, clients get 500."

CODES = {
    "VAN001": Code(
        "The Host header cannot be the name of a site.",
        "The client gets 400. Nothing is logged.",
        "None.",
        (S400,),
    ),
    "VAN002": Code(
        "The import of the application raised an exception, or called sys.exit().",
        _LOAD,
        "Read the traceback, mend the application and deploy it. The router loads it again by"
        " itself when a file changes that the traceback names.",
        (NOT_LIVE, S500),
    ),
    "VAN003": Code(
        "The module has no object of that name, the object cannot be called, it is an ASGI"
        " application, or two modules could be meant.",
        _LOAD,
        'Define app in app.py, or say in van.toml which object it is: entry = "module:object". For'
        " ASGI see the manual's page on sites.",
        (NOT_LIVE, S500),
    ),
    "VAN004": Code(
        "The import of the application has not ended within load_timeout.",
        "The old release goes on serving. Without one, clients get 503 with Retry-After. The"
        " release goes live when its import ends after all.",
        "Find what the import waits for. Raise load_timeout if the import is just slow.",
        (NOT_LIVE, S503),
    ),
    "VAN005": Code(
        'isolation="imports" is set, and the environment was made with another Python.',
        _LOAD,
        'Make .venv with the Python of the daemon, or set isolation="auto".',
        (NOT_LIVE, S500),
    ),
    "VAN006": Code(
        "This CPython lacks an internal that the isolation in this process stands on.",
        _LOAD,
        'Set isolation="process", or run the daemon with a Python that was tested.',
        (NOT_LIVE, S500),
    ),
    "VAN007": Code(
        "A worker process could not be started, or it ended before it was ready.",
        _LOAD,
        "Look at .venv/bin/python, and at the lines of the worker before this one.",
        (NOT_LIVE, S500),
    ),
    "VAN008": Code(
        "A hook of your subclass of Router raised an exception.",
        "Until the hook answers, nothing is reloaded, and clients of a site without a release get"
        " 500.",
        "Mend the hook.",
        (NOT_LIVE, S500),
    ),
    "VAN009": Code(
        "mod_wsgi_van has a defect.",
        "The router goes on.",
        "Report the defect with its traceback.",
    ),
    "VAN010": Code(
        "A release that was replaced did not end cleanly.",
        "The release may keep memory or a thread.",
        "Look at the exit handlers of the site.",
        (MEMORY,),
    ),
    "VAN011": Code(
        'isolation="imports" loaded libraries in this process that do not belong there.',
        "A reload of them may fail or leak memory, or they change what all sites share.",
        'Set isolation="auto" or "process".',
        (MEMORY,),
    ),
    "VAN012": Code(
        "mod_wsgi runs the script in a sub-interpreter.",
        "Extension modules may fail. Each port that a client names gets a router of its own.",
        "Set WSGIApplicationGroup %{GLOBAL}.",
        (MEMORY,),
    ),
    "VAN013": Code(
        "base_path is not a directory.",
        "All hosts below base_path get 404 until base_path is one.",
        "Create the directory, or correct base_path.",
        (S404,),
    ),
    "VAN014": Code(
        "Files below wsgi change whenever the application is loaded. It may write them itself.",
        "The site reloads again, but ever later: up to a minute lies between two reloads.",
        "Let the application write those files elsewhere, or add their names to watch_ignore.",
        (AGAIN,),
    ),
    "VAN015": Code(
        "The daemon's user may not read files of a site.",
        _LOAD,
        "Let that user read the files, and enter all directories above them.",
        (NOT_LIVE, S500),
    ),
    "VAN016": Code(
        "The router cannot start a thread, or as many first loads are under way as it starts.",
        "Clients get 500, or 503 where only a first load has no thread. Each request tries again.",
        "Raise the limit of processes (RLIMIT_NPROC, the pids limit of a container) or of memory.",
        (S500,),
    ),
    "VAN017": Code(
        "The file system of a site does not answer. Neither may an override of get_version.",
        "The release that is there goes on serving. Without one, clients get 503. No other site is"
        " delayed.",
        "Look at the mount, and at the server behind it. The router looks again by itself.",
        (NOT_LIVE, LATE, S503),
    ),
    "VAN018": Code(
        "A file of a site that the router has to read is not a regular file, is far too large, or"
        " is another user's.",
        _LOAD,
        "Replace the file, or remove it. The line names it.",
        (NOT_LIVE, S500),
    ),
    "VAN019": Code(
        "There are more files below wsgi than the router looks at.",
        "The release that is there goes on serving. Only a swap, and a change of what stands"
        " directly in wsgi, reload the site.",
        "Move what is not code out of wsgi, or name it in watch_ignore. touch wsgi reloads.",
        (NOT_LIVE, LATE),
    ),
    "VAN020": Code(
        "A limit of inotify, of threads or of open files is reached.",
        'What is concerned is polled. watch="inotify" refuses to start.',
        "Raise the limit that the line names.",
        (LATE,),
    ),
    "VAN021": Code(
        "The kernel's queue of events overflowed.",
        "The router looks at every site again. Nothing is lost.",
        "Raise fs.inotify.max_queued_events if this recurs.",
        (LATE,),
    ),
    "VAN022": Code(
        "A site lies on a file system where inotify is blind, such as NFS.",
        "The site is polled. Links on the way to it that lie on a local disk are watched besides.",
        "None. On a local disk a change is noticed in milliseconds.",
        (LATE,),
    ),
    "VAN023": Code(
        "This system has no inotify.",
        "All sites are polled.",
        "None.",
        (LATE,),
    ),
    "VAN024": Code(
        "The sweep found a change that no event announced. A file that is still open for writing"
        " announces nothing.",
        "The change is loaded now.",
        'If this recurs, set watch="polling" and report it.',
        (LATE,),
    ),
    "VAN025": Code(
        "The daemon's user may not read a directory on the way to a site.",
        "The site is polled.",
        "Let that user read the directory.",
        (LATE,),
    ),
    "VAN026": Code(
        "A site has more directories below wsgi than the router watches.",
        "The site is polled.",
        "Move what is not code out of wsgi, or name it in watch_ignore.",
        (LATE,),
    ),
    "VAN027": Code(
        "The environment of a site is not complete: its pyvenv.cfg or its interpreter is missing.",
        "The release that is there goes on serving until both are there. Without one, clients get"
        " 500.",
        "None while the environment is being made. Otherwise make it again; for a site without an"
        " environment remove its directory.",
        (NOT_LIVE, S500),
    ),
    "VAN028": Code(
        "A full collection of garbage took longer than 0.2 s.",
        "All sites of the daemon process waited for it.",
        'None if it came in a quiet second. Otherwise raise waste_share, set isolation="process"'
        " for large sites, or run more than one daemon process group.",
        (SLOW,),
    ),
    "VAN030": Code(
        "A worker is gone: it was killed, exited, crashed or had no memory.",
        "The next request starts another worker.",
        "Find out why. The line names the signal or the status.",
        (S502,),
    ),
    "VAN031": Code(
        "A worker did not answer within request_timeout.",
        "The client gets 504. The worker is replaced.",
        "Find what hangs, or raise request_timeout.",
        (S504,),
    ),
    "VAN032": Code(
        "No worker had room for a request within queue_timeout.",
        "The client gets 503 with Retry-After.",
        "Raise process_threads or processes_per_vhost.",
        (S503,),
    ),
    "VAN033": Code(
        "A worker broke the protocol.",
        "The client gets 502. The worker is ended.",
        "Look for code of the site that writes to descriptors which it does not own.",
        (S502,),
    ),
    "VAN034": Code(
        "Workers end or fail at once, again and again.",
        "Clients get 503 with Retry-After. The pauses between two attempts grow to a minute.",
        "Read the lines with VAN030 and VAN007 before this one.",
        (S503,),
    ),
    "VAN035": Code(
        "environ holds values that cannot be sent to a worker.",
        "The worker does not get these values.",
        'None, unless the site needs them: then return "imports" from get_isolation for it.',
    ),
    "VAN036": Code(
        "A worker ended before it answered, and the request could not be repeated.",
        "The client gets 502.",
        "Find out why the worker ended: see VAN030.",
        (S502,),
    ),
    "VAN037": Code(
        "A worker failed in the middle of a response.",
        "The response is cut off.",
        "Find out why the worker ended: see VAN030.",
        (S502,),
    ),
    "VAN038": Code(
        "The router has no descriptor left for a connection to a worker.",
        "The client gets 503.",
        "Raise the limit of open files (LimitNOFILE).",
        (S503,),
    ),
    "VAN039": Code(
        "The thread that looks after the workers has a defect.",
        "The thread goes on.",
        "Report the defect with its traceback.",
    ),
    "VAN040": Code(
        "A release that was replaced goes on: a thread or an exit handler of it does not end.",
        "The release stays in memory. Where that happens at two deploys in a row, the next one"
        ' moves the site to a worker process, if isolation is "auto", until the daemon starts'
        " again.",
        "Let a function that is registered with atexit end what the line names, for example by an"
        ' Event that the thread waits for. Or set isolation="process" for the site.',
        (MEMORY,),
    ),
    "VAN041": Code(
        "The van.toml of a site, or its shared/.env, has an error.",
        _LOAD,
        "Mend what the line names. The router reads the file again when it changes.",
        (NOT_LIVE, S500),
    ),
    "VAN042": Code(
        "A site asks in its van.toml for more than its administrator allows, or sets a variable"
        " that the daemon has.",
        "The value of the administrator holds.",
        "Ask for less. Or allow more, in [limits] or for the site in [sites], and touch the wsgi"
        " file.",
    ),
    "VAN043": Code(
        "The requests of a site, running and waiting, hold as many threads of the server as one"
        " site may have: max_concurrency, or its share.",
        "More requests get 503 with Retry-After at once. The other sites go on. The line comes"
        " once a minute and says how many got 503.",
        "Find what makes the requests slow, or the clients (mod_reqtimeout). Otherwise raise"
        " threads of WSGIDaemonProcess, or max_concurrency where it is set.",
        (S503,),
    ),
    "VAN044": Code(
        "A new release was loaded, but did not answer the path that check names with a status below"
        " 500 in time.",
        _LOAD,
        "Read the status or the traceback, and ask the release for that path yourself. touch wsgi"
        " tries again where nothing had to be mended in the site itself, as with a database that"
        " was down.",
    ),
    "VAN045": Code(
        "A worker wrote more to stderr and stdout than the log takes of it.",
        "What is too much is dropped. The site is not held up, and neither are others.",
        "Find what writes so much. The lines before this one are a part of it.",
    ),
    "VAN046": Code(
        "The status directory cannot be used, or the socket in it cannot be given to status_group.",
        "Without the directory nobody can ask for the status of the process. Without the group,"
        " only the daemon's own can.",
        "Let the daemon's user write in status_directory, or add that user to status_group.",
    ),
    "VAN047": Code(
        "A worker has reached a limit: memory_limit, task_limit or file_limit.",
        "The request to which the kernel refused something has failed. A fresh worker takes the"
        " place of the one that has reached the limit.",
        "Find what takes so much. Otherwise raise the limit that the line names, for the site or in"
        " [limits].",
    ),
    "VAN048": Code(
        "A worker could not be shut in: its Python has no _ctypes, or prctl(2) fails.",
        "The site runs. Other processes of its user can read and trace the worker, and setuid"
        " programs gain their privileges in it.",
        "Make the environment with a Python that has ctypes.",
    ),
    "VAN049": Code(
        "A limit is set that nothing can keep: task_limit, while workers run as the daemon's user"
        " and without a control group.",
        "The workers run without that limit.",
        'Set site_user = "owner", or run the daemon in a unit with Delegate and DelegateSubgroup.',
    ),
    "VAN050": Code(
        'site_user is "owner", and the spawner does not start a worker for this site, or does not'
        " run.",
        "Nothing runs as the daemon's user instead. The old release goes on serving. Without one,"
        " clients get 500.",
        "Read the reason: a wrong owner, a directory that others may write, a link out of"
        " base_path. mod-wsgi-van doctor SITE says the same. Where no spawner answers, start it:"
        " systemctl start mod-wsgi-van-spawner.",
        (NOT_LIVE, S500),
    ),
}
