"""A quick look at a large message before it is validated.

pydantic keeps what was wrong for its error as Python objects: seconds for a megabyte of structure in the place of a word.
msgspec says in a millisecond that a structure is in the wrong place, or that a field is missing.
"""

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel

Scalar = str | int | float | bool | None


def shape_of(model: type[BaseModel]) -> msgspec.json.Decoder[Any]:
    """Reads JSON and checks which fields are there, and which of them are lists, mappings and messages; not what they say.

    Raises msgspec.ValidationError, when reading, only for what the model refuses too.
    """
    return msgspec.json.Decoder(_struct(model))


def _struct(model: type[BaseModel]) -> type[msgspec.Struct]:
    fields = [
        (name, _loosely(field.annotation)) if field.is_required() else (name, _loosely(field.annotation), None)
        for name, field in model.model_fields.items()
    ]
    return msgspec.defstruct(model.__name__, fields, kw_only=True)


def _loosely(annotation: Any) -> Any:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _loosely(parts[0])
    if origin in (Union, UnionType):
        known = [part for part in parts if part is not NoneType]
        return _loosely(known[0]) | None if len(known) == 1 else Scalar
    if origin is list:
        return list[_loosely(parts[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, Scalar]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _struct(annotation)
    return Scalar
