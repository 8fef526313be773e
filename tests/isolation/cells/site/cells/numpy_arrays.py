import pickle

import numpy as np


def run(turn):
    array = np.arange(12.0).reshape(3, 4) + turn % 3
    again = pickle.loads(pickle.dumps(array))
    assert type(again) is np.ndarray and (again == array).all()
    ufunc = pickle.loads(pickle.dumps(np.add))
    random = np.random.default_rng(1).integers(0, 100, 3)
    solved = np.linalg.solve(np.eye(3) * 2, np.ones(3))
    return f"{np.__version__} {array.sum()} {ufunc is np.add} {random.tolist()} {solved.tolist()}"
