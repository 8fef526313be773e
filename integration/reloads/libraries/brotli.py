"""brotli>=1.0.9"""

import brotli


def use():
    try:
        brotli.decompress(b"no")
    except brotli.error as error:
        said = f"{type(error) is brotli.error}"
    return f"{brotli.decompress(brotli.compress(b'abc' * 99))[:9]} {said}"
