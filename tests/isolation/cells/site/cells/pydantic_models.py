from __future__ import annotations

import me
import pydantic


class Inner(pydantic.BaseModel):
    value: int = 1


class Model(pydantic.BaseModel):
    inner: Inner
    name: str = me.NAME

    @pydantic.field_validator("name")
    @classmethod
    def check(cls, value):
        import things

        return f"{value} {things.Thing.owner}"


def run(turn):
    model = Model.model_validate({"inner": {"value": "3"}, "name": "x"})
    try:
        Model.model_validate({"inner": {"value": "no"}})
    except pydantic.ValidationError as exc:
        count = exc.error_count()
    assert type(model.inner) is Inner
    return f"{pydantic.VERSION} {model.name} {model.inner.value} {count}"
