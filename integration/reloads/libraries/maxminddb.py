"""maxminddb>=2.2"""

import maxminddb


def use():
    try:
        maxminddb.open_database(__file__)
    except maxminddb.InvalidDatabaseError as error:
        return type(error).__name__
