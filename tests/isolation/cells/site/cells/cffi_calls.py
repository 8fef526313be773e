import _cffi_backend
import cffi

ffi = cffi.FFI()
ffi.cdef("int abs(int); typedef int (*callback)(int);")
library = ffi.dlopen(None)


def run(turn):
    @ffi.callback("int(int)")
    def twice(value):
        import me

        assert me.NAME
        return value * 2

    return f"{cffi.__version__} {_cffi_backend.__version__} {library.abs(-turn % 7)} {twice(4)}"
