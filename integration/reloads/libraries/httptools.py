"""httptools>=0.5"""

import httptools


class Protocol:
    def __init__(self):
        self.headers = []

    def on_header(self, name, value):
        self.headers.append((name, value))


def use():
    protocol = Protocol()
    parser = httptools.HttpRequestParser(protocol)
    parser.feed_data(b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n")
    try:
        httptools.HttpRequestParser(protocol).feed_data(b"nonsense")
    except httptools.HttpParserError as error:
        return f"{protocol.headers} {type(error).__name__} {httptools.parse_url(b'/x?y').path}"
