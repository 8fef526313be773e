"""psycopg-binary>=3.1.18 psycopg>=3.1.18"""

import psycopg
from psycopg import sql


def use():
    try:
        psycopg.connect("host=/nowhere dbname=a")
    except psycopg.OperationalError as error:
        said = type(error).__name__
    return f"{psycopg.pq.__impl__} {sql.Literal(1).as_string(None)} {said}"
