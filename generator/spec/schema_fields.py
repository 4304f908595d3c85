"""The fields of the schema's models, as pages and examples show them."""

from __future__ import annotations

import re
import typing
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from generator.formats.yaml_text import yaml_line


def fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Return the keys of a section with their fields, in the order of the schema."""
    return [(field.alias or name, field) for name, field in model.model_fields.items()]


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, as such, in a list or in a map; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (model_of(inner) for inner in get_args(annotation) if get_origin(annotation) is not Literal)
    return next((model for model in found if model is not None), None)


def is_map(annotation: Any) -> bool:
    """Return whether a field is a map whose keys people choose."""
    return get_origin(_bare(annotation)) is dict


def is_list(annotation: Any) -> bool:
    """Return whether a field is a list."""
    return get_origin(_bare(annotation)) is list


def kind(annotation: Any) -> str:
    """Return in words what a field takes."""
    bare = _bare(annotation)
    origin = get_origin(bare)
    if origin is Literal:
        return ", ".join(str(one) for one in get_args(bare))
    if origin is list:
        return f"list of {kind(get_args(bare)[0])}"
    if origin is dict:
        return "map"
    return {str: "text", int: "number", bool: "true or false"}.get(bare, "any")


def default_text(field: FieldInfo) -> str:
    """Return the default of a field as YAML; an empty text where it has none or is a section."""
    value = field.default
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if value is None:
        return "null"
    if value == "":
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and len(value) == 1 and _from_one(field):
        value = value[0]
    if isinstance(value, (list, dict)):
        return yaml_line(value)
    return yaml_line(value) if _reads_as_number(value) else str(value)


def _reads_as_number(value: Any) -> bool:
    """Return whether a text without quotes would be a number to YAML."""
    return isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) is not None


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is typing.Annotated:
        annotation = get_args(annotation)[0]
    parts = [one for one in get_args(annotation) if one is not type(None)]
    if type(None) in get_args(annotation) and len(parts) == 1:
        return _bare(parts[0])
    return annotation


def _from_one(field: FieldInfo) -> bool:
    return any(type(item).__name__ == "BeforeValidator" for item in field.metadata)
