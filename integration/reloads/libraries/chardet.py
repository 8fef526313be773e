"""chardet>=5
chardet>=6
"""

import chardet

OPTIONAL = "guessing"  # what its compiled part makes faster


def use():
    return str(chardet.detect("très déçu, été à Noël".encode() * 20)["encoding"])
