import importlib
import threading


def run(turn):
    found = []

    def work():
        import lazily.threaded

        found.append(lazily.threaded.NAME)
        found.append(importlib.import_module(f"numbered.module_{turn % 20}").NAME)

    first = threading.Thread(target=work)
    first.start()
    first.join()
    # A thread that runs nothing but shared code until it finds the application's.
    import pickle

    from things import Thing

    data = pickle.dumps(Thing(1))
    second = threading.Timer(0, lambda load=pickle.loads: found.append(type(load(data)).owner))
    second.start()
    second.join()
    return " ".join(found)
