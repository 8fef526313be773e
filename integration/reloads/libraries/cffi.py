"""cffi>=1.15,<2
cffi>=2
"""

import cffi


def use():
    ffi = cffi.FFI()
    ffi.cdef("int abs(int); struct pair { int a; int b; };")
    pair = ffi.new("struct pair *", {"a": 1, "b": 2})

    @ffi.callback("int(int)")
    def twice(number):
        return 2 * number

    try:
        ffi.cdef("nonsense nonsense")
    except cffi.CDefError as error:
        said = type(error).__name__
    return f"{ffi.dlopen(None).abs(-pair.b)} {twice(4)} {said}"
