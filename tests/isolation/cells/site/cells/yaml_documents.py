import yaml
from things import Thing


def run(turn):
    text = yaml.dump({"thing": Thing(turn % 3)}, Dumper=getattr(yaml, "CDumper", yaml.Dumper))
    again = yaml.load(text, Loader=getattr(yaml, "CUnsafeLoader", yaml.UnsafeLoader))
    assert type(again["thing"]) is Thing
    return f"{yaml.__version__} {yaml.__with_libyaml__} {again['thing'].owner}"
