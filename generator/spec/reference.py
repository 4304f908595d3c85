"""Words about the schema: docs/spec-reference.md and the JSON Schema for editors; run as a module it writes both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from generator.spec.schema import ClusterSpec, json_schema
from generator.spec.schema_fields import default_text, fields, is_list, is_map, kind, model_of

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "spec-reference.md"
SCHEMA = Path(__file__).with_name("cluster.schema.json")


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a file; `path` has <name> where people choose the key, and [] for an entry of a list."""

    path: str
    kind: str
    default: str
    meaning: str
    required: bool


def options(model: type[BaseModel] = ClusterSpec) -> tuple[Option, ...]:
    """Return every option of a file, cluster.yaml unless said, in the order of its schema."""
    return tuple(_options(model, ""))


def reference_page() -> str:
    """Return docs/spec-reference.md."""
    lines = [
        "# cluster.yaml",
        "",
        "Every key that may stand in `clusters/<c>/cluster.yaml`. `make docs` writes this page from the schema in",
        "`generator/spec/`; a test keeps it current. `<name>` is a key that you choose, `[]` an entry of a list.",
        "",
        "Host ranges: `worker-[001:050]` with `address: 10.0.1.[1:50]` is fifty hosts; all ranges of one entry are",
        "equally long, advance together, and keep their zero padding.",
        "",
        *option_table(options()),
    ]
    return "\n".join(lines) + "\n"


def option_table(rows: Iterable[Option]) -> list[str]:
    """Return options as the lines of a table."""
    lines = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for option in rows:
        default = "required" if option.required else f"`{option.default}`" if option.default else ""
        value = option.kind.replace("|", "\\|")
        lines.append(f"| `{option.path}` | {value} | {default} | {option.meaning} |")
    return lines


def _options(model: type[BaseModel], prefix: str) -> Iterator[Option]:
    for key, field in fields(model):
        path = f"{prefix}{key}"
        below = model_of(field.annotation)
        if below is None:
            yield Option(
                path, kind(field.annotation), default_text(field), field.description or "", field.is_required()
            )
            continue
        required = field.is_required()
        if is_map(field.annotation):
            yield Option(path, "map", default_text(field), field.description or "", required)
            yield from _options(below, f"{path}.<name>.")
        elif is_list(field.annotation):
            yield Option(path, "list", default_text(field), field.description or "", required)
            yield from _options(below, f"{path}[].")
        else:
            yield Option(path, "section", "", field.description or "", required)
            yield from _options(below, f"{path}.")


def schema_text() -> str:
    """Return cluster.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference_page(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
