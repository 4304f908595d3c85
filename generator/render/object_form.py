"""The form of an API object: what every one has, whatever its kind; the rest of it the API's own checks judge."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from generator.errors import RenderError
from generator.render.object_secrets import has_private_key

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LONGEST_NAME = 253
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_API_VERSION = re.compile(rf"([a-z0-9.-]{{1,253}}/)?{_LABEL}")

_DEEPEST = 100
"""Levels of maps and lists; the deepest object of our own has 14."""

_FREE_NAMES = frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ClusterTrustBundle"})
"""Kinds whose names are any segment of a path, such as system:node
(https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#path-segment-names)."""


def checked_object(where: str, member: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without the empty fields of its metadata; `where` begins the message of a RenderError.

    That is raised for a name, namespace, label, annotation or image that is none, and for a list of objects, whose
    members nobody would check.
    """
    if _is_deep(member):
        raise RenderError(f"{where} is nested deeper than {_DEEPEST} levels; write it flatter")
    metadata = member["metadata"]
    words = [member["kind"], member["apiVersion"], metadata.get("name") if isinstance(metadata, Mapping) else None]
    if not all(isinstance(word, str) and word for word in words):
        raise RenderError(f"{where} is no API object; it needs apiVersion, kind and metadata.name")
    kind, version, name = words
    if not _KIND.fullmatch(kind):
        raise RenderError(f"{where}: kind is {kind!r}; write one like ConfigMap")
    if not _API_VERSION.fullmatch(version):
        raise RenderError(f"{where}: apiVersion is {version!r}; write one like v1 or apps/v1")
    if kind == "List" or (kind.endswith("List") and "items" in member):
        raise RenderError(f"{where} is a list of objects; write each of its items as an object of the set")
    _check_name(where, kind, name)
    kept = {key: value for key, value in metadata.items() if key not in _MAY_BE_NULL or value is not None}
    namespace = kept.get("namespace", "default")
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        todo = "write lower-case letters, digits and '-', 63 at most"
        raise RenderError(f"{where}: metadata.namespace is {namespace!r}; {todo}")
    for field in ("labels", "annotations"):
        _check_texts(f"{where}: metadata.{field}", kept.get(field, {}))
    for path, image in _images(member, ""):
        if not isinstance(image, str) or not image:
            raise RenderError(f"{where}: {path} is {image!r}; write the name of an image as text")
    return {**member, "metadata": kept}


_MAY_BE_NULL = frozenset({"namespace", "labels", "annotations"})


def refuse_private_keys(where: str, member: Mapping[str, Any]) -> None:
    """Raise RenderError for a private key in any text of an object, with its place."""
    for path, text in _texts(member, ""):
        if has_private_key(text):
            todo = "seal it with `invoke secrets.set` and refer to it in a Secret as {secret: NAME}"
            raise RenderError(f"{where}: {path} holds a private key, which would stand in git as plain text; {todo}")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [below for one in level for _, below in _below(one)]
    return bool(level)


def _check_name(where: str, kind: str, name: str) -> None:
    if kind in _FREE_NAMES:
        if name in {".", ".."} or "/" in name or "%" in name:
            raise RenderError(f"{where}: metadata.name is {name!r}; a name of this kind has no '/' and no '%'")
    elif len(name) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(name):
        todo = f"write lower-case letters, digits, '-' and '.', {_LONGEST_NAME} at most"
        raise RenderError(f"{where}: metadata.name is {name!r}; {todo}")


def _check_texts(where: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise RenderError(f"{where} is {value!r}; write a map of texts")
    for key, text in value.items():
        if not isinstance(text, str):
            raise RenderError(f"{where}[{key!r}] is {text!r}; write it as text, in quotes")


def _images(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for key, below in _below(value):
        here = f"{path}.{key}".removeprefix(".")
        if key in {"containers", "initContainers"} and isinstance(below, list):
            yield from (
                (f"{here}[{number}].image", one["image"])
                for number, one in enumerate(below)
                if isinstance(one, Mapping) and "image" in one
            )
        else:
            yield from _images(below, here)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    for key, below in _below(value):
        if isinstance(key, str):
            yield f"{path}: a key", key
        yield from _texts(below, f"{path}.{key}".removeprefix("."))


def _below(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
