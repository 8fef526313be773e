"""This machine as it was installed, to be changed at will: what is changed is gone at the end.

Namespaces of mounts, processes and the network, with overlays above the directories that an
administrator changes. Needs root.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.server.httpd import ENVIRON
from integration.server.programs import system_python
from tests.support.places import open_directory

_CHANGED = ("/etc", "/var", "/usr/local", "/srv")
_LOOPBACK = (
    "import fcntl, socket, struct; s = socket.socket();"
    "fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x41))"  # SIOCSIFFLAGS: up, running
)
_BEGIN = """
set -e
mount --make-rprivate /
mount -t tmpfs none "$0"
python=$1; loopback=$2; below=$3; shift 3
for path; do
    mkdir -p "$0$path/upper" "$0$path/work"
    lower=${below:+$below$path/upper:}$path
    mount -t overlay none -o "lowerdir=$lower,upperdir=$0$path/upper,workdir=$0$path/work" "$path"
done
mount -t tmpfs -o mode=755 none /run
mkdir -m 1777 /run/lock
"$python" -c "$loopback"
echo ready
sleep infinity  # waited for by the shell, which so takes the orphans of others
:
"""


class Machine:
    """``run`` runs a command in it, as root."""

    def __init__(self, pid: int, changes: Path) -> None:
        self._changes = changes
        self._enter = ["nsenter", "--target", str(pid), "--mount", "--pid", "--net"]

    def run(
        self, *command: str | Path, timeout: float = 120, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """The output and the errors together."""
        return subprocess.run(
            [*self._enter, *command],
            env=ENVIRON | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def shell(self, script: str) -> str:
        """What a script prints; raises CalledProcessError when a command of it fails."""
        done = self.run("bash", "-ec", script)
        if done.returncode:
            raise AssertionError(f"{script}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def load_mod_wsgi(self, module: Path) -> None:
        """Have Apache's module be this shared object, as ``mod_wsgi-express install-module``."""
        self.shell(f"echo LoadModule wsgi_module {module} > /etc/apache2/mods-available/wsgi.load")

    def save(self, directory: Path) -> None:
        """Copy what was changed so far, for machines that begin with it."""
        self.shell(f"cp -a {self._changes}/. {directory}")


@contextmanager
def machine(below: Path | None = None) -> Iterator[Machine]:
    """A machine of its own for one test; ``below``: the directory of a saved one."""
    with open_directory() as directory:
        command = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
        script = ["sh", "-c", _BEGIN, str(directory), system_python(), _LOOPBACK]
        layers = [str(below) if below else "", *_CHANGED]
        process = subprocess.Popen([*command, *script, *layers], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield Machine(int(children), directory)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
