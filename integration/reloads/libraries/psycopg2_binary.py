"""psycopg2-binary>=2.9.7"""

import psycopg2
from psycopg2 import extensions, extras, sql


def use():
    try:
        psycopg2.connect("host=/nowhere dbname=a")
    except psycopg2.OperationalError as error:
        said = type(error).__name__
    extensions.register_adapter(dict, extras.Json)
    return f"{extensions.adapt('it')} {extensions.adapt({'a': 1})} {sql.SQL('a')} {said}"
