import pickle

import me
import sqlalchemy as sa
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Row(Base):
    __tablename__ = "rows"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)


def run(turn):
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Row(name=me.NAME))
        session.commit()
        row = session.execute(sa.select(Row)).scalars().one()
        again = pickle.loads(pickle.dumps(row))
        expression = pickle.loads(pickle.dumps(sa.select(Row.__table__)))
    engine.dispose()
    assert type(again) is Row
    return f"{sa.__version__} {again.name} {len(str(expression))}"
