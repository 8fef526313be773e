"""rcssmin>=1.1"""

import rcssmin


def use():
    return rcssmin.cssmin("a { color : red ; }")
