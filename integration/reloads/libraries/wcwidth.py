"""wcwidth>=0.2.6"""

import wcwidth


def use():
    return str(wcwidth.wcswidth("コンニチハ abc"))
