"""rapidfuzz>=3.0"""

from rapidfuzz import fuzz, process


def use():
    return f"{fuzz.ratio('abc', 'abd'):.1f} {process.extractOne('ab', ['abc', 'xyz'])[0]}"
