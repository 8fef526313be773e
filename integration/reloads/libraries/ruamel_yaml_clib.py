"""ruamel-yaml-clib>=0.2.7 ruamel-yaml>=0.18"""

import io

import ruamel.yaml


def use():
    yaml = ruamel.yaml.YAML(typ="safe")
    out = io.StringIO()
    yaml.dump(yaml.load("a: [1, 2.5]"), out)
    try:
        yaml.load("a: b: c")
    except ruamel.yaml.error.YAMLError as error:
        return f"{out.getvalue()!r} {error.problem}"
