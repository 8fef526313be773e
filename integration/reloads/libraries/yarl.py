"""yarl>=1.9 multidict>=6.1 propcache>=0.2"""

from yarl import URL

OPTIONAL = "quoting"  # what its compiled part makes faster


def use():
    return str((URL("http://ä.test/b?c=d") / "e f").with_query({"q": "ü"}))
