"""hiredis>=2.2"""

import hiredis


class Oops(Exception):
    pass


def use():
    reader = hiredis.Reader(replyError=Oops)
    reader.feed(b"*2\r\n:1\r\n$1\r\na\r\n-ERR no\r\n?")
    items, error = reader.gets(), reader.gets()
    try:
        reader.gets()
    except hiredis.ProtocolError as wrong:
        return f"{items} {type(error) is Oops} {wrong}"
