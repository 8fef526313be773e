"""ujson>=5.4"""

import decimal

import ujson


def use():
    try:
        ujson.loads("{")
    except ujson.JSONDecodeError as error:
        said = str(error)
    return f"{ujson.dumps({'a': [1, 2.5], 'd': decimal.Decimal('1.5')})} {said}"
