"""charset-normalizer>=3.0"""

import charset_normalizer

OPTIONAL = "guessing"  # what its compiled part makes faster


def use():
    best = charset_normalizer.from_bytes("très déçu, été à Noël".encode() * 20).best()
    assert type(best) is charset_normalizer.models.CharsetMatch
    return f"{best.encoding} {best.coherence}"
