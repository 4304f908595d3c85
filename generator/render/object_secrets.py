"""Secrets among the objects: what jsonnet may name, and how a rendered Secret refers to what only fleet may open.

In jsonnet each value of a Secret's data is `{secret: NAME}`, a sealed secret, or `{text: …}`, which everyone may read.
The text stands in the rendered object as the API has it, in base64. A sealed value does not: its key is left out of
data and named, with the secret and its id, in an annotation, from which fleet fills the object on the way to the API.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from generator.components.view import Material
from generator.errors import RenderError
from generator.pki.certificates import ADDON_LEAVES, certificates
from generator.pki.issuing import certificate_pem, load_certificates
from generator.pki.store import SEALED_FOR_ADDONS
from generator.spec.model import Cluster

ANNOTATION = "slipway.io/secrets"
"""A line for each key that is filled at apply, sorted: the key, the name of the sealed secret and its id."""

_PEM = "-----BEGIN CERTIFICATE-----"
_CA_NAMES = ("ca", "front-proxy-ca")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
_PLAIN = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1")


def secret_facts(cluster: Cluster, material: Material) -> dict[str, dict[str, str]]:
    """Return what jsonnet gets to know: certificates as PEM, and the ids that a pod template shows to be rolled by."""
    leaves = [one.name for one in certificates(cluster) if one.name.startswith(ADDON_LEAVES)]
    names = (*(f"pki/{name}" for name in leaves), *material.secret_names(SEALED_FOR_ADDONS))
    return {
        "certificates": {name: _pem(material.certificate(name), name) for name in (*_CA_NAMES, *leaves)},
        "secretIds": {name: material.secret_id(name) for name in names},
    }


def with_references(where: str, member: Mapping[str, Any], material: Material) -> Mapping[str, Any]:
    """Return a Secret as it is rendered; any other object as it is.

    `where` begins the message of a RenderError: for a plain value, which would stand in git, for one that is neither
    form, and for the name of a secret that nobody has sealed.
    """
    if member["kind"] != "Secret":
        return member
    data, metadata = member.get("data") or {}, member["metadata"]
    if member.get("stringData") or not isinstance(data, Mapping):
        raise _plain_value(where, "stringData" if member.get("stringData") else "data")
    if ANNOTATION in (metadata.get("annotations") or {}):
        todo = "write data: {KEY: {secret: NAME}}"
        raise RenderError(f"{where}: the annotation {ANNOTATION} is Slipway's own; {todo}")
    values: dict[str, str] = {}
    references: list[str] = []
    unsealed: list[str] = []
    for key, value in sorted(data.items()):
        if not _KEY.fullmatch(key):
            raise RenderError(f"{where}: {key!r} is no key of a Secret; write letters, digits, dots, '-' and '_'")
        match value:
            case {"text": str(text)} if len(value) == 1:
                if has_private_key(text):
                    raise _plain_value(where, f"data.{key}")
                values[key] = base64.b64encode(text.encode()).decode()
            case {"secret": str(name)} if len(value) == 1:
                if name.startswith(SEALED_FOR_ADDONS) and not _is_sealed(name, material):
                    unsealed.append(name)
                else:
                    references.append(f"{key} {name} {_id(f'{where}: data.{key}', name, material)}")
            case _:
                raise _plain_value(where, f"data.{key}")
    if unsealed:
        raise RenderError(f"{where}: {_to_seal(unsealed)}")
    if not references:
        return {**member, "data": values} if data else member
    annotations = {**(metadata.get("annotations") or {}), ANNOTATION: "\n".join(references)}
    rest = {key: value for key, value in member.items() if key != "data"}
    return {**rest, "metadata": {**metadata, "annotations": annotations}, **({"data": values} if values else {})}


def has_private_key(text: str) -> bool:
    """Return whether a text holds the beginning of a private key."""
    return _PLAIN.search(text) is not None


def _plain_value(where: str, field: str) -> RenderError:
    return RenderError(
        f"{where} is a Secret with its values, which would stand in git as plain text: {field}; "
        "write {secret: NAME} for a sealed secret, {text: …} for what everyone may read"
    )


def _is_sealed(name: str, material: Material) -> bool:
    try:
        material.secret_id(name)
    except RenderError:
        return False
    return True


def _to_seal(names: Sequence[str]) -> str:
    """Return what to do about secrets that nobody has sealed yet, all of an object at once."""
    one = len(names) == 1
    what = f"the secret {names[0]} is" if one else f"the secrets {', '.join(names)} are"
    todo = f"it with `invoke secrets.set --name {names[0]}`" if one else "each with `invoke secrets.set --name NAME`"
    return f"{what} not sealed; seal {todo}, or correct the name{'' if one else 's'}"


def _id(where: str, name: str, material: Material) -> str:
    try:
        return material.secret_id(name)
    except RenderError as error:
        raise RenderError(f"{where}: {error}") from None


def _pem(text: str, name: str) -> str:
    """Return a certificate without the words above it; a request, which has no PEM, as it is."""
    if _PEM not in text:
        return text
    return "".join(certificate_pem(one) for one in load_certificates(text, name))
