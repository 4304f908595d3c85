"""The base of every model of cluster.yaml: camelCase keys, nothing unknown, no silent conversion."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """One mapping of cluster.yaml."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
    )
