import importlib


def run(turn):
    import spread.left
    import spread.right

    assert spread.__spec__.loader is not None and len(list(spread.__path__)) == 2
    module = importlib.import_module("spread.right")
    return f"{spread.left.NAME} {module.NAME}"
