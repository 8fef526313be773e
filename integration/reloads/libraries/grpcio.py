"""grpcio>=1.57"""

import grpc


def use():
    channel = grpc.insecure_channel("127.0.0.1:1")
    try:
        channel.unary_unary("/a/b")(b"x", timeout=0.5)
    except grpc.RpcError as error:
        return str(error.code())
    finally:
        channel.close()
