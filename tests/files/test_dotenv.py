"""Lines of NAME=value, as python-dotenv reads them."""

from __future__ import annotations

import pytest

from mod_wsgi_van.files.dotenv import DotenvError, parse

READ = [
    ("", {}),
    ("\n# a comment\n  \n", {}),
    ("A=1\nB = two words \r\nC=", {"A": "1", "B": "two words", "C": ""}),
    ("export A=1\n  export  B='x'", {"A": "1", "B": "x"}),
    (
        "A=x # a comment\nB=x#y\nC= # nothing\nD=\t#\nE=#",
        {"A": "x", "B": "x#y", "C": "", "D": "", "E": "#"},
    ),
    ("A='x # y' # a comment\nB=\"x # y\"#", {"A": "x # y", "B": "x # y"}),
    (r"A='it\'s \n \\'", {"A": r"it's \n \ "[:-1]}),
    (r'A="a\nb\t\"c\" \$ \\"', {"A": 'a\nb\t"c" \\$ \\'}),
    ("A='one\ntwo'\nB=\"three\nfour\"\nC=5", {"A": "one\ntwo", "B": "three\nfour", "C": "5"}),
    ("'A B'=1\na.b-c=2", {"A B": "1", "a.b-c": "2"}),
    ("A=${B} $B", {"A": "${B} $B"}),
    ("A=it's\nB=a=b", {"A": "it's", "B": "a=b"}),
    ("\ufeffA=ü", {"A": "ü"}),
    ("A=1\nA=2", {"A": "2"}),
]


@pytest.mark.parametrize(("text", "found"), READ)
def test_what_is_read(text: str, found: dict[str, str]) -> None:
    assert {name: value for _, name, value in parse(text)} == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nhunter2\n", 2),
        ("A='x", 1),
        ('A=1\n\nB="x\ny', 3),
        ("A='one\ntwo'\nB='x' y", 3),
        ("=x", 1),
        ("export\n", 1),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_not_shown(text: str, line: int) -> None:
    with pytest.raises(DotenvError) as raised:
        list(parse(text))
    assert raised.value.line == line
    assert "hunter2" not in str(raised.value)
