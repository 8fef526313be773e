"""regex>=2022.1
regex>=2024.1
"""

import regex


def use():
    try:
        regex.compile("(")
    except regex.error as error:
        said = str(error)
    found = regex.match(r"(?P<a>\p{L}+)(?:x|y)*", "abcxy")
    marked = regex.sub(r"(.)", r"<\1>", "ab")
    return f"{found['a']} {marked} {regex.Regex.__name__} {said}"
