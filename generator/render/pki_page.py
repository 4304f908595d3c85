"""pki.yaml: every certificate of a cluster as words, so that a review sees who may speak as whom, and where."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from generator.components.view import Material
from generator.errors import RenderError
from generator.formats.natural import natural_order
from generator.formats.yaml_text import block_scalar
from generator.pki.certificates import certificates, service_account_places
from generator.pki.issuing import load_certificates
from generator.pki.request import Place, Request, subject_text
from generator.render.inventory import HEADER
from generator.spec.model import Cluster

_PEM = "-----BEGIN CERTIFICATE-----"


def pki_text(cluster: Cluster, material: Material) -> str:
    """Return pki.yaml, CAs first, then leaves by host and name.

    Expiry and fingerprint (SHA-256) stand for certificates that were issued; where the material is only requests, the
    wished validity stands in their place.
    """
    lines = [f"{HEADER.format(cluster=cluster.name)}certificates:"]
    for request in certificates(cluster):
        lines.extend(_lines(_certificate(request, request.subject, material)))
    lines.append("keys:")
    signer, *_ = pairs = material.service_account_keys()
    for pair in sorted(pairs, key=natural_order):
        entry = {
            "name": pair,
            "keyId": _key_id(material, pair),
            "places": _places(*service_account_places(pair, signs=pair == signer)),
        }
        lines.extend(_lines(entry))
    return "\n".join(lines) + "\n"


def _certificate(request: Request, subject: Any, material: Material) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": request.name,
        "subject": subject_text(subject),
        "sans": list(request.sans),
        "usages": list(request.usages),
        "issuer": request.issuer,
        **_issued(request, material),
        "keyId": _key_id(material, request.name),
        "host": request.host or "",
        "places": _places(*request.places),
    }
    return {key: value for key, value in entry.items() if value not in ("", [])}


def _issued(request: Request, material: Material) -> dict[str, Any]:
    text = material.certificate(request.name)
    if _PEM not in text:
        return {"days": request.days}
    certificate: x509.Certificate = load_certificates(text, request.name)[0]
    until = certificate.not_valid_after_utc.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"notAfter": until, "fingerprint": certificate.fingerprint(hashes.SHA256()).hex()}


def _key_id(material: Material, name: str) -> str:
    try:
        return material.secret_id(f"pki/{name}")
    except RenderError:
        return ""  # the key of an external CA's own certificate may lie elsewhere


def _places(*places: Place) -> list[str]:
    return [f"{path} on {place.on}" for place in places for path in (place.path, place.key_path) if path]


def _lines(entry: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in entry.items():
        lead = "  " if lines else "- "
        if isinstance(value, list):
            lines.append(f"{lead}{key}:")
            lines.extend(f"  - {block_scalar(one)}" for one in value)
        else:
            lines.append(f"{lead}{key}: {block_scalar(value)}")
    return lines
