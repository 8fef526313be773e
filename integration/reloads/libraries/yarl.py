"""yarl>=1.9 multidict>=6.1 propcache>=0.2"""

from yarl import URL


def use():
    return str((URL("http://ä.test/b?c=d") / "e f").with_query({"q": "ü"}))
