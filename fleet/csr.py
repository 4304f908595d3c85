"""Approves kubelets' serving certificates by the rule of the csr-approver on control-plane hosts: bytes are compared.

The reviewed list is the ConfigMap kube-system/slipway-nodes as rendered: `<node>: "<hex subject> <hex SAN value>"`,
each exactly as the kubelet encodes it. A request is approved when its subject and its only extension, the subject
alternative name, have these bytes, when nothing else is asked for, and when that node itself asks. All else stays
pending. Text that any program prints of a request is never looked at, since a DNS name can forge it.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from fleet.admin import utc_now
from fleet.der import INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, DerError, Element, only
from fleet.kube import Api
from generator.errors import ApiError, StaleTreeError

SIGNER = "kubernetes.io/kubelet-serving"
USER_PREFIX = "system:node:"
GROUPS = frozenset({"system:nodes", "system:authenticated"})
USAGES = (
    # Kubelets before 1.27 ask for both; later ones leave out key encipherment for an ECDSA key, which cannot do it
    # (kubernetes/kubernetes#111660).
    frozenset({"digital signature", "key encipherment", "server auth"}),
    frozenset({"digital signature", "server auth"}),
)
NODES_FILE = "ConfigMap-kube-system-slipway-nodes.yaml"

_EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")  # 1.2.840.113549.1.9.14
_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")  # 2.5.29.17
_NAME = re.compile("csr-[a-z0-9]+")
_CERTIFICATE = "CERTIFICATE-----"
_REQUEST = "CERTIFICATE REQUEST-----"
_LONGEST = 16384
"""No request of a kubelet comes near it, in characters of base64."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one request: approved where `refusal` is "", else left pending for that reason."""

    name: str
    node: str
    refusal: str


def listed_nodes(rendered_dir: Path) -> Mapping[str, str]:
    """Return the reviewed line of each node from the rendered ConfigMap; raises StaleTreeError without one."""
    paths = sorted(rendered_dir.glob(f"objects/*/{NODES_FILE}"))
    try:
        data = yaml.safe_load(paths[0].read_bytes())["data"]
        return {str(node): str(line) for node, line in data.items()}
    except (IndexError, OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        raise StaleTreeError(
            f"{rendered_dir.name}: objects/ has no readable {NODES_FILE}; run `invoke render`", [NODES_FILE]
        ) from None


def request_line(request: bytes) -> str:
    """Return subject and SAN extension of a DER certificate request as a line of the list.

    Raises DerError where the request is not strict DER or asks for anything but one SAN extension.
    """
    whole = only(request, SEQUENCE).children()
    if len(whole) != 3 or whole[0].tag != SEQUENCE:
        raise DerError("it is no certificate request")
    information = whole[0].children()
    if len(information) != 4 or [element.tag for element in information] != [INTEGER, SEQUENCE, SEQUENCE, 0xA0]:
        raise DerError("its parts are not those of a certificate request")
    if information[0].content != b"\x00":
        raise DerError("it is of a version that nobody uses")
    return f"{information[1].whole.hex()} {_alternative_names(information[3]).hex()}"


def refusal(csr: Mapping[str, Any], nodes: Mapping[str, str]) -> str:
    """Return why a CertificateSigningRequest object stays pending, "" where it is to be approved."""
    if not _NAME.fullmatch(str(csr.get("metadata", {}).get("name", ""))):
        return "its name is none that a kubelet gets"
    spec = csr.get("spec", {})
    user = str(spec.get("username", ""))
    node = user.removeprefix(USER_PREFIX)
    if spec.get("signerName") != SIGNER:
        return f"its signer is {spec.get('signerName')}"
    if not user.startswith(USER_PREFIX) or node not in nodes:
        return f"{user} is no node of the rendered list"
    groups = [str(group) for group in spec.get("groups") or ()]
    if frozenset(groups) != GROUPS or len(groups) != len(GROUPS):
        return "the requestor is not in exactly the groups of a kubelet"
    usages = [str(usage) for usage in spec.get("usages") or ()]
    if frozenset(usages) not in USAGES or len(usages) != len(set(usages)):
        return "it asks for other usages than a kubelet's server certificate"
    try:
        line = request_line(_der(str(spec.get("request", ""))))
    except DerError as error:
        return f"the request is not a kubelet's: {error}"
    if line != nodes[node]:
        return f"subject or names are not those of node {node} in the rendered list"
    return ""


async def decisions(api: Api, nodes: Mapping[str, str]) -> tuple[Decision, ...]:
    """Return what is to become of every pending serving request, by name; nothing is written."""
    found = await api.list("certificates.k8s.io/v1", "CertificateSigningRequest", fields=f"spec.signerName={SIGNER}")
    return tuple(
        Decision(
            csr["metadata"]["name"], str(csr["spec"].get("username", "")).removeprefix(USER_PREFIX), refusal(csr, nodes)
        )
        for csr in sorted(found, key=lambda csr: str(csr["metadata"]["name"]))
        if _pending(csr)
    )


async def approve_listed(
    api: Api, nodes: Mapping[str, str], *, now: Callable[[], datetime] = utc_now
) -> tuple[Decision, ...]:
    """Approve every pending serving request that the rule lets through and return all decisions."""
    found = await api.list("certificates.k8s.io/v1", "CertificateSigningRequest", fields=f"spec.signerName={SIGNER}")
    made: list[Decision] = []
    for csr in sorted(found, key=lambda csr: str(csr["metadata"]["name"])):
        if not _pending(csr):
            continue
        why = refusal(csr, nodes)
        if not why:
            await _approve(api, csr, now())
        made.append(
            Decision(csr["metadata"]["name"], str(csr["spec"].get("username", "")).removeprefix(USER_PREFIX), why)
        )
    return tuple(made)


async def _approve(api: Api, csr: Mapping[str, Any], when: datetime) -> None:
    # The object that was judged goes back with its resourceVersion, so that nothing else can be approved in its place.
    condition = {
        "type": "Approved",
        "status": "True",
        "reason": "SlipwayListed",
        "message": "subject and names are those of the rendered list",
        "lastUpdateTime": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    status = {**csr.get("status", {}), "conditions": [*csr.get("status", {}).get("conditions", ()), condition]}
    try:
        await api.replace({**csr, "status": status}, "approval")
    except ApiError as error:
        # The csr-approver of a control-plane host was faster, or the request is gone.
        if error.status not in (404, 409):
            raise


def _pending(csr: Mapping[str, Any]) -> bool:
    return not {condition.get("type") for condition in csr.get("status", {}).get("conditions") or ()} & {
        "Approved",
        "Denied",
        "Failed",
    }


def _der(request: str) -> bytes:
    """Return the DER of a request, which must be the PEM that its DER gives when it is written anew.

    So no two readers of PEM can see two requests in it.
    """
    if len(request) > _LONGEST:
        raise DerError("it is longer than that of a kubelet")
    try:
        pem = base64.b64decode(request, validate=True).decode("ascii")
        der = ssl.PEM_cert_to_DER_cert(pem.replace(_REQUEST, _CERTIFICATE)) if _CERTIFICATE not in pem else b""
    except ValueError:
        der = b""
    if not der or ssl.DER_cert_to_PEM_cert(der).replace(_CERTIFICATE, _REQUEST) != pem:
        raise DerError("it is not one certificate request in plain PEM")
    return der


def _alternative_names(attributes: Element) -> bytes:
    """Return the value of the only extension; attributes hold one extension request with it, nothing else."""
    held = attributes.children()
    if len(held) != 1 or held[0].tag != SEQUENCE:
        raise DerError("it has other attributes than one extension request")
    attribute = held[0].children()
    if len(attribute) != 2 or attribute[0].whole != _EXTENSION_REQUEST or attribute[1].tag != SET:
        raise DerError("its attribute is no extension request")
    extensions = only(only(attribute[1].content, SEQUENCE).content, SEQUENCE).children()
    kinds = [element.tag for element in extensions]
    if kinds != [OBJECT_IDENTIFIER, OCTET_STRING] or extensions[0].whole != _SUBJECT_ALT_NAME:
        raise DerError("its extension is no plain subject alternative name")
    return extensions[1].content
