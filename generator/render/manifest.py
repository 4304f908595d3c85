"""manifest.yaml: what stands in a folder of the tree, beside the file contents in its rootfs/.

Written without a general YAML emitter, which takes seconds for a thousand hosts; every scalar that is not plainly
plain is still written by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from generator.components.items import (
    HostBinary,
    HostDirectory,
    HostFile,
    HostItem,
    HostLink,
    HostPackage,
    HostUnit,
    HostUser,
    SecretRef,
    SecretTemplate,
    item_key,
)
from generator.components.view import Material
from generator.errors import RenderError
from generator.formats.yaml_text import block_scalar
from generator.render.flow import flow
from generator.render.levels import Folder
from generator.render.secret_slots import slot_names


def folder_files(
    where: str, prefix: str, folder: Folder, component: str | None, material: Material
) -> Iterable[tuple[str, bytes]]:
    """Yield the files of one folder: its manifest and the contents below rootfs/.

    `prefix` is the folder's path in the tree, `component` None for a host's folder, where every item names its own.
    Raises RenderError where an item refers to a secret that is not sealed.
    """
    items = sorted(folder.items.values(), key=item_key)
    lines = [] if component is None else [f"component: {component}"]
    if items:
        lines.append("items:")
    for item in items:
        entry = _entry(where, item, material)
        if component is None:
            entry = {"component": item.component, **entry}
        for number, (key, value) in enumerate(entry.items()):
            lines.append(
                f"{'  ' if number else '- '}{key}: {block_scalar(value) if isinstance(value, str) else flow(value)}"
            )
        if isinstance(item, HostFile) and not isinstance(item.content, SecretRef):
            text = item.content.text if isinstance(item.content, SecretTemplate) else item.content
            yield f"{prefix}/rootfs{item.path}", text.encode()
    if folder.absent:
        lines.append("absent:")
        lines.extend(f"- {block_scalar(key)}" for key in folder.absent)
    yield f"{prefix}/manifest.yaml", ("\n".join(lines) + "\n").encode()


def _entry(where: str, item: HostItem, material: Material) -> dict[str, Any]:
    """Return an item as its manifest lists it: fixed order of keys, without what is empty or false."""
    match item:
        case HostFile():
            entry = {**_content(where, item, material), **_access(item), "phase": item.phase, **_effects(item)}
        case HostLink():
            entry = {"path": item.path, "kind": "link", "target": item.target, "phase": item.phase, **_effects(item)}
        case HostDirectory():
            entry = {"path": item.path, "kind": "directory", **_access(item), "phase": item.phase}
        case HostBinary():
            entry = {
                "path": item.path,
                "kind": "binary",
                "artifact": item.artifact,
                "version": item.version,
                "arch": item.arch,
                "member": item.member,
                "phase": item.phase,
            }
        case HostUser():
            entry = {"name": item.name, "kind": "user", "groups": list(item.groups), "phase": item.phase}
        case HostPackage():
            entry = {"name": item.name, "kind": "package", "phase": item.phase}
        case HostUnit():
            entry = {
                "name": item.name,
                "kind": "unit",
                "phase": item.phase,
                "start": item.start,
                "drainKey": item.drain_key,
            }
    return {key: value for key, value in entry.items() if value not in ("", [], {}) or value is False}


def _content(where: str, item: HostFile, material: Material) -> dict[str, Any]:
    place = f"{where}: {item.component}: {item.path}"
    match item.content:
        case SecretRef(name=name):
            return {"path": item.path, "kind": "secret", "secret": name, "id": _id(place, name, material)}
        case SecretTemplate(text=text):
            secrets = {name: _id(place, name, material) for name in slot_names(place, text)}
            return {"path": item.path, "kind": "file", "secrets": secrets}
        case _:
            return {"path": item.path, "kind": "file"}


def _id(place: str, name: str, material: Material) -> str:
    try:
        return material.secret_id(name)
    except RenderError as error:
        raise RenderError(f"{place}: {error}") from None


def _access(item: HostFile | HostDirectory) -> dict[str, Any]:
    return {"mode": f"{item.mode:04o}", "owner": item.owner, "group": item.group}


def _effects(item: HostFile | HostLink) -> Mapping[str, Any]:
    return {"restarts": list(item.restarts), "reloads": list(item.reloads)}
