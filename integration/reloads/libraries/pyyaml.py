"""pyyaml>=6.0"""

import datetime

import yaml


def use():
    text = "a: [1, 2.5, 2026-01-01]\nb: &x {c: d}\ne: *x\n"
    answers = []
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        answers.append(yaml.load(text, loader))
        assert type(answers[-1]["a"][2]) is datetime.date
        try:
            yaml.load("a: b: c", loader)
        except yaml.YAMLError as error:
            answers.append(str(error.problem))
    return f"{answers} {yaml.dump(answers[0], Dumper=yaml.CSafeDumper)}".replace("\n", "|")
