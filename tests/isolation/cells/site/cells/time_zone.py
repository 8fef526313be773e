import datetime
import logging
import os
import time

import me


def run(turn):
    os.environ["TZ"] = "Asia/Tokyo" if me.NAME == "one" else "America/New_York"
    time.tzset()
    record = logging.makeLogRecord({"created": 0, "msecs": 0})
    said = logging.Formatter("%(asctime)s").format(record)
    at = datetime.datetime.fromtimestamp(0)
    return f"{time.strftime('%Z %H', time.localtime(0))} {said} {at.astimezone()}"
