import logging
import pickle

import me


def run(turn):
    record = logging.getLogger(me.NAME).makeRecord(me.NAME, 20, __file__, turn % 3, "m", (), None)
    again = pickle.loads(pickle.dumps(record))
    assert type(again) is logging.LogRecord
    return f"{again.name} {again.lineno}"
