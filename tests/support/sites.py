"""The old place of what lies in vhosts, client, threads and waiting now; it goes soon."""

from tests.support.answer import Answer as Answer
from tests.support.client import get as get
from tests.support.client import wait_for as wait_for
from tests.support.threads import in_threads as in_threads
from tests.support.vhosts import app as app
from tests.support.vhosts import deploy as deploy
from tests.support.vhosts import release as release
from tests.support.vhosts import site as site
from tests.support.vhosts import write as write
from tests.support.waiting import wait as wait
