"""tomli>=2.0"""

import tomli

OPTIONAL = "parsing"  # what its compiled part makes faster


def use():
    try:
        tomli.loads("a = ")
    except tomli.TOMLDecodeError as error:
        return f"{tomli.loads('a = [1, 2026-01-01]')} {type(error) is tomli.TOMLDecodeError}"
