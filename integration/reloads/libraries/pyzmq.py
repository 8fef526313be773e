"""pyzmq>=25"""

import zmq


def use():
    context = zmq.Context()
    one, two = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    one.bind("inproc://a")
    two.connect("inproc://a")
    one.send(b"x")
    answer = two.recv()
    try:
        two.recv(zmq.NOBLOCK)
    except zmq.Again as error:
        said = type(error).__name__
    one.close()
    two.close()
    context.term()
    return f"{answer} {said}"
