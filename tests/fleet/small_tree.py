"""A small rendered tree, written by hand: what fleet's tests push and apply without render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.tree import RenderedTree, load
from generator.formats.yaml_text import yaml_line, yaml_text

DAEMON = """[Unit]
Description=A daemon that does nothing

[Service]
ExecStart=/usr/local/bin/idle
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""

PHASES: list[dict[str, Any]] = [
    {"name": "preflight", "title": "every host can be worked with", "batch": "all", "gates": [{"kind": "preflight"}]},
    {"name": "host-base", "title": "folders and users", "batch": "all", "gates": []},
    {"name": "binaries", "title": "version folders", "batch": "all", "gates": []},
    {
        "name": "runtime",
        "title": "the runtime",
        "batch": "slots",
        "deferDrained": "nodes",
        "gates": [{"kind": "units"}],
    },
    {
        "name": "nodes",
        "title": "the nodes",
        "batch": "slots",
        "drain": True,
        "first": "control-plane",
        "gates": [{"kind": "units"}],
    },
]

ITEMS: list[dict[str, Any]] = [
    {"name": "idler", "kind": "user", "groups": ["idlers"], "phase": "host-base"},
    {"path": "/etc/idle", "kind": "directory", "mode": "0755", "owner": "root", "group": "root",
     "phase": "host-base"},
    {"path": "/etc/idle/idle.conf", "kind": "file", "mode": "0644", "owner": "root", "group": "root",
     "phase": "runtime", "restarts": ["idle.service"]},
    {"path": "/etc/systemd/system/idle.service", "kind": "file", "mode": "0644", "owner": "root", "group": "root",
     "phase": "runtime", "restarts": ["idle.service"]},
    {"path": "/usr/local/bin/idle", "kind": "link", "target": "/opt/idle/1.0/idle", "phase": "runtime",
     "restarts": ["idle.service"]},
    {"path": "/opt/idle/1.0/idle", "kind": "binary", "artifact": "idle", "version": "1.0", "arch": "amd64",
     "member": "", "phase": "binaries"},
    {"name": "idle.service", "kind": "unit", "phase": "runtime"},
]  # fmt: skip

CONTENTS = {"/etc/idle/idle.conf": "level: 1\n", "/etc/systemd/system/idle.service": DAEMON}


def write_tree(
    root: Path,
    *,
    hosts: Mapping[str, Mapping[str, Any]],
    items: Sequence[Mapping[str, Any]] = ITEMS,
    contents: Mapping[str, str] = CONTENTS,
    phases: Sequence[Mapping[str, Any]] = PHASES,
    pools: Mapping[str, Mapping[str, Any]] | None = None,
    artifacts: Sequence[Mapping[str, Any]] = (),
    own: Mapping[str, Mapping[str, Any]] | None = None,
    fetch: str = "push",
    control_plane: Sequence[Mapping[str, Any]] = (),
) -> RenderedTree:
    """Write a tree of one component `idle` on every host and load it; `own` adds manifests of hosts."""
    rendered = root / "rendered" / "demo"
    default = {
        "workers": {
            "roles": ["etcd", "worker"],
            "components": ["idle"],
            "os": "debian-12",
            "arch": "amd64",
            "maxUnavailable": "1",
        }
    }
    inventory: dict[str, Any] = {
        "cluster": "demo",
        "versions": {"kubernetes": "1.20.2"},
        "artifacts": {"fetch": fetch},
        "ssh": {"user": "root", "port": 22},
        "pools": dict(pools or default),
        "hosts": {name: dict(entry) for name, entry in hosts.items()},
    }
    _write(rendered / "inventory.yaml", yaml_text(inventory))
    _write(
        rendered / "phases.yaml", yaml_text({"controlPlane": list(control_plane), "phases": list(phases)}, sort=False)
    )
    _write(rendered / "bom.yaml", yaml_text({"artifacts": [dict(one) for one in artifacts]}))
    write_manifest(rendered / "components" / "idle", items, contents, "idle")
    for name, manifest in (own or {}).items():
        write_manifest(
            rendered / "hosts" / name, manifest["items"], manifest.get("contents", {}), "", manifest.get("absent", ())
        )
    return load(rendered)


def write_manifest(
    folder: Path,
    items: Sequence[Mapping[str, Any]],
    contents: Mapping[str, str],
    component: str,
    absent: Sequence[str] = (),
) -> None:
    """Write a manifest and its contents as render does."""
    lines = [f"component: {component}"] if component else []
    lines += ["items:", *(f"- {yaml_line(dict(item))}" for item in items)]
    if absent:
        lines.append(f"absent: {yaml_line(list(absent))}")
    _write(folder / "manifest.yaml", "\n".join(lines) + "\n")
    for path, text in contents.items():
        _write(folder / "rootfs" / path.lstrip("/"), text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
