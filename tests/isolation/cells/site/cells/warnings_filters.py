import threading
import warnings

import me

lock = threading.Lock()
warnings.filterwarnings(
    "error" if me.NAME == "one" else "ignore", message="cells", category=UserWarning
)


def run(turn):
    with lock:  # catch_warnings() is not for threads
        return look()


def look():
    try:
        warnings.warn("cells are watched", UserWarning, stacklevel=1)
        outcome = "ignored"
    except UserWarning:
        outcome = "raised"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("other", DeprecationWarning, stacklevel=1)
    return f"{outcome} {len(caught)} {caught[0].category.__name__}"
