import sqlite3

import me


class Point:
    pass


sqlite3.register_adapter(Point, lambda point: "point of " + me.NAME)
sqlite3.register_adapter(complex, lambda value: f"complex of {me.NAME}")
sqlite3.register_converter("owned", lambda raw: f"{raw.decode()} for {me.NAME}")


def run(turn):
    connection = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
    connection.execute("create table t (a text, b owned)")
    connection.execute("insert into t values (?, ?)", (Point(), 1 + 2j))
    ((first, second),) = connection.execute("select a, b from t").fetchall()
    connection.close()
    return f"{first} {second}"
