"""opentelemetry-instrumentation>=0.50b0 opentelemetry-sdk \
opentelemetry-instrumentation-urllib opentelemetry-instrumentation-logging \
opentelemetry-instrumentation-threading opentelemetry-instrumentation-sqlite3
"""

import sqlite3

from opentelemetry.instrumentation.logging import LoggingInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.instrumentation.urllib import URLLibInstrumentor

for each in (LoggingInstrumentor, SQLite3Instrumentor, ThreadingInstrumentor, URLLibInstrumentor):
    each().instrument()


def use():
    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    found = cursor.fetchone()
    connection.close()
    return str(found)
