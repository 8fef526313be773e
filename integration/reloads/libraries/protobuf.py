"""protobuf>=4.21,<5
protobuf>=5
"""

from google.protobuf import struct_pb2, timestamp_pb2
from google.protobuf.message import DecodeError


def use():
    message = struct_pb2.Struct()
    message.update({"a": 1, "b": ["c"]})
    back = struct_pb2.Struct.FromString(message.SerializeToString())
    assert type(back) is struct_pb2.Struct
    try:
        struct_pb2.Struct.FromString(b"\xff")
    except DecodeError as error:
        said = type(error).__name__
    return f"{dict(back)['a']} {timestamp_pb2.Timestamp(seconds=1).ToJsonString()} {said}"
