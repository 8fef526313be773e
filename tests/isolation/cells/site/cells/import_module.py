import importlib
import importlib.util
import sys


def run(turn):
    name = f"numbered.module_{turn % 20}"
    module = importlib.import_module(name)
    spec = importlib.util.find_spec(name)
    beside = importlib.util.find_spec("lazily.unused")
    assert sys.modules[name] is module and spec.origin == module.__file__
    again = importlib.util.module_from_spec(beside)
    beside.loader.exec_module(again)
    return f"{module.NAME} {again.NAME}"
