"""xxhash>=3.1"""

import xxhash


def use():
    return xxhash.xxh64(b"a").hexdigest()
