import os
import subprocess

import me


def run(turn):
    os.environ["CELLS_OWNER"] = me.NAME
    os.environ.setdefault("CELLS_DEFAULT", me.NAME)
    child = subprocess.run(["sh", "-c", "echo $CELLS_OWNER"], capture_output=True, text=True)
    piped = os.popen("echo $CELLS_DEFAULT").read().strip()
    expanded = os.path.expandvars("$CELLS_OWNER")
    status = os.system('test "$CELLS_OWNER" = ' + me.NAME)
    assert os.environb[b"CELLS_OWNER"].decode() == os.getenv("CELLS_OWNER")
    return f"{os.environ['CELLS_OWNER']} {child.stdout.strip()} {piped} {expanded} {status}"


ROUNDS = 3
