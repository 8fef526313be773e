"""lz4>=4.3"""

import lz4.block
import lz4.frame


def use():
    try:
        lz4.block.decompress(b"no")
    except Exception as error:
        said = type(error).__name__
    return f"{lz4.frame.decompress(lz4.frame.compress(b'abc' * 9))} {said}"
