"""rjsmin>=1.2"""

import rjsmin


def use():
    return rjsmin.jsmin("var a = 1; // no")
