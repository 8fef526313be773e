import me
import package.inner
from package import inner
from package.inner import deep

from . import same_named_modules


def run(turn):
    assert package.inner is inner
    return f"{me.NAME} {inner.NAME} {deep.NAME} {same_named_modules.__file__ == __file__}"
