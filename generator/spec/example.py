"""Files with every option of a schema commented out, with default and meaning, as `invoke new --full` writes one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from generator.formats.yaml_text import yaml_line
from generator.spec.schema import ClusterSpec
from generator.spec.schema_fields import default_text, fields, is_list, is_map, model_of

_EXAMPLE: dict[str, Any] = {
    "versions": {"kubernetes": "1.36.1"},
    "pools": {
        "control": {"roles": ["etcd", "control-plane"]},
        "workers": {"roles": ["worker"]},
    },
    "hosts": {
        "cp1": {"pool": "control", "address": "10.0.0.1"},
        "worker-[1:2]": {"pool": "workers", "address": "10.0.0.[11:12]"},
    },
}

_SAMPLES = {
    "host": "api.example.net",
    "address": "10.0.0.250",
    "path": "/etc/motd",
    "source": "files/motd",
    "key": "dedicated",
    "effect": "NoSchedule",
    "role": "control-plane",
    "vendor": "nvidia",
    "virtualRouterId": "51",
    "priorities": "{cp1: 150}",
    "port": "9100",
    "device": "/dev/disk/by-id/nvme-0001",
    "mount": "/data",
    "uris": "[https://mirror.example.net/debian]",
    "suites": "[bookworm]",
    "baseURL": "https://mirror.example.net/el9",
    "keyFile": "files/mirror.asc",
    "name": "ops",
    "sshAuthorizedKeys": "[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZf0tfu2o6xJ4 ops@example.net]",
}


def full_example(name: str) -> str:
    """Return a cluster.yaml that loads, with every option of the schema commented out beside its default and meaning.

    `name` is the cluster's. The lines that are not comments are one small cluster.
    """
    lines = [
        "# Every option of cluster.yaml. A line that begins with #- is an option with its default: take the #- away.",
        "apiVersion: slipway.io/v1",
        "kind: Cluster",
    ]
    given = {"metadata": {"name": name}, **_EXAMPLE}
    lines += section_lines(ClusterSpec, "", given, _SAMPLES, skip=("apiVersion", "kind"))
    return "\n".join(lines) + "\n"


def section_lines(
    model: type[BaseModel],
    indent: str,
    given: Mapping[str, Any],
    samples: Mapping[str, str],
    skip: tuple[str, ...] = (),
) -> list[str]:
    """Return the lines of a section: what is given as it is, all else commented out with its default.

    `samples` says by key what stands for values that have no default. `skip` are keys that are left out, with dots
    between those of sections that are given, and * for the names of a map.
    """
    lines: list[str] = []
    for key, field in fields(model):
        if key in skip:
            continue
        meaning = field.description or ""
        below = model_of(field.annotation)
        if key in given:
            lines += ["", f"# {meaning}"] if not indent else [f"{indent}# {meaning}"]
            lines += _given(key, given[key], below, is_map(field.annotation), indent, samples, _below(key, skip))
        elif below is not None:
            lines += ["", f"# {meaning}"] if not indent else [f"{indent}# {meaning}"]
            lines += _commented(key, field, below, indent, samples)
        else:
            text = _example_of(key, field, samples)
            lines += [f"{indent}#- {key}: {text}  # {meaning}"]
    return lines


def _below(key: str, skip: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path.removeprefix(f"{key}.") for path in skip if path.startswith(f"{key}."))


def _given(
    key: str,
    value: Any,
    below: type[BaseModel] | None,
    is_map: bool,
    indent: str,
    samples: Mapping[str, str],
    skip: tuple[str, ...],
) -> list[str]:
    if below is None:
        return [f"{indent}{key}: {yaml_line(value) if isinstance(value, list) else _quoted(value)}"]
    lines = [f"{indent}{key}:"]
    if not is_map:
        return lines + section_lines(below, f"{indent}  ", value, samples, skip)
    for index, (name, entry) in enumerate(value.items()):
        lines.append(f"{indent}  {name}:" if entry else f"{indent}  {name}: {{}}")
        if not entry:
            continue
        inner = f"{indent}    "
        if index == 0:
            lines += section_lines(below, inner, entry, samples, _below("*", skip))
        else:
            lines += [
                f"{inner}{one}: {yaml_line(text) if isinstance(text, list) else _quoted(text)}"
                for one, text in entry.items()
            ]
    return lines


def _commented(
    key: str, field: FieldInfo, below: type[BaseModel], indent: str, samples: Mapping[str, str]
) -> list[str]:
    lines = [f"{indent}#- {key}:"]
    inner = "  "
    if is_map(field.annotation):
        lines.append(f"{indent}#-   {_key_of(key, field)}:")
        inner = "    "
    entries = _commented_fields(below, inner, samples)
    if is_list(field.annotation):
        entries = [
            line.replace(f"{inner}", f"{inner}- " if number == 0 else f"{inner}  ", 1)
            for number, line in enumerate(entries)
        ]
    return lines + [f"{indent}#- {line}" for line in entries]


def _commented_fields(model: type[BaseModel], indent: str, samples: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for key, field in fields(model):
        below = model_of(field.annotation)
        if below is None:
            lines.append(f"{indent}{key}: {_example_of(key, field, samples)}  # {field.description}")
            continue
        lines.append(f"{indent}{key}:  # {field.description}")
        if is_map(field.annotation):
            lines.append(f"{indent}  {_key_of(key, field)}:")
            lines += _commented_fields(below, f"{indent}    ", samples)
            continue
        inner = _commented_fields(below, f"{indent}  ", samples)
        if is_list(field.annotation):
            start = f"{indent}  "
            inner = [
                line.replace(start, f"{start}- " if number == 0 else f"{start}  ", 1)
                for number, line in enumerate(inner)
            ]
        lines += inner
    return lines


def _key_of(key: str, field: FieldInfo) -> str:
    """Return a key of a map: one of those that it takes, or a name that people choose."""
    known = [one for one in get_args(get_args(field.annotation)[0]) if isinstance(one, str)]
    return known[0] if known else "kube-apiserver" if key == "components" else "<name>"


def _example_of(key: str, field: FieldInfo, samples: Mapping[str, str]) -> str:
    if field.examples:
        return yaml_line(field.examples[0])
    if field.is_required():
        return samples.get(key, "null")
    return default_text(field)


def _quoted(value: Any) -> str:
    if isinstance(value, str) and ((value[:1].isdigit() and value.count(".") == 2) or "[" in value):
        return json.dumps(value)
    return yaml_line(value)
