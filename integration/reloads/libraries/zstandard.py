"""zstandard>=0.19"""

import zstandard


def use():
    data = zstandard.ZstdCompressor().compress(b"abc" * 99)
    try:
        zstandard.ZstdDecompressor().decompress(b"no")
    except zstandard.ZstdError as error:
        return f"{zstandard.ZstdDecompressor().decompress(data)[:6]} {error}"
