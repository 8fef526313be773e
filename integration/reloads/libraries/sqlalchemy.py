"""sqlalchemy>=1.4.40,<2
sqlalchemy>=2
"""

import pickle

import sqlalchemy
from sqlalchemy import orm

Base = orm.declarative_base()

OPTIONAL = "rows"  # what its compiled part makes faster


class Thing(Base):
    __tablename__ = "things"
    id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
    name = sqlalchemy.Column(sqlalchemy.String)


def use():
    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Thing(name="a"))
        session.commit()
        row = session.execute(sqlalchemy.select(Thing.id, Thing.name)).one()
        kept = pickle.loads(pickle.dumps(row))
        answer = f"{row._mapping['name']} {tuple(kept)}"
    engine.dispose()
    return answer
