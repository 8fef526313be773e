"""sentry-sdk>=1.40,<2
sentry-sdk>=2
"""

import threading

import sentry_sdk

events = []


def keep(event, hint):
    events.append(event["exception"]["values"][0]["type"])


sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", before_send=keep, default_integrations=True)


def use():
    try:
        int("x")
    except ValueError as error:
        sentry_sdk.capture_exception(error)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return events[-1]
