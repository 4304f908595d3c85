"""Overrides and files of the user's own, as the model holds them: every value with the place where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.spec.faults import Findings
from generator.spec.model import ExtraFile, Override, Source
from generator.spec.schema_pools import ComponentSpec, FileSpec
from generator.spec.yaml_source import Path


def overrides(components: Mapping[str, ComponentSpec], path: Path, findings: Findings) -> dict[str, Override]:
    """Return the overrides of one layer by component."""
    return {name: _override(one, (*path, name), findings) for name, one in sorted(components.items())}


def _override(component: ComponentSpec, path: Path, findings: Findings) -> Override:
    parts: dict[str, Mapping[str, Any]] = {
        "flags": component.flags,
        "unsafeFlags": component.unsafe_flags,
        "unit": component.unit,
        "config": component.config,
    }
    sources: dict[tuple[str, ...], Source] = {}
    for part, values in parts.items():
        _places(values, (part,), path, findings, sources)
    return Override(component.flags, component.unsafe_flags, component.unit, component.config, sources)


def _places(
    values: Mapping[str, Any],
    at: tuple[str, ...],
    path: Path,
    findings: Findings,
    sources: dict[tuple[str, ...], Source],
) -> None:
    document = findings.document
    for key, value in values.items():
        here = (*at, key)
        sources[here] = Source(document.file, document.line((*path, *here)))
        if isinstance(value, Mapping):
            _places(value, here, path, findings, sources)


def files(written: list[FileSpec], path: Path, findings: Findings) -> tuple[ExtraFile, ...]:
    """Return the files of one layer, sorted by path, with their content; a missing source is a fault."""
    made: dict[str, ExtraFile] = {}
    for index, one in enumerate(written):
        at = (*path, index)
        content = text_of(one.source, (*at, "source"), findings)
        if content is None:
            continue
        if one.path in made:
            findings.fault((*at, "path"), f"{one.path} is written by two entries", "keep one of them")
            continue
        where = Source(findings.document.file, findings.document.line(at))
        made[one.path] = ExtraFile(
            one.path, content, int(one.mode, 8), one.owner, one.group, tuple(one.restarts), tuple(one.reloads), where
        )
    return tuple(made[key] for key in sorted(made))


def text_of(source: str, path: Path, findings: Findings) -> str | None:
    """Return the text of a file beside cluster.yaml; one that is missing or no UTF-8 text is a fault and None."""
    content = findings.read_file(source)
    if content is None:
        findings.fault(path, f"there is no file {source} beside cluster.yaml", "add it, or correct the path")
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        findings.fault(path, f"{source} is not UTF-8 text", "use a text file; binaries go through artifacts")
        return None
