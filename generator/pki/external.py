"""With an external CA, ours are intermediates: a request goes out as pki/<ca>.csr, a certificate comes in as <ca>.crt.

What comes in is our certificate and behind it those above it up to a self-signed root: hosts trust that whole file,
and programs that insist on a root (OpenSSL, Python) find one. The controller manager signs with the first alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from generator.errors import PkiError
from generator.pki.issuing import is_ca, signed_by, signing_request
from generator.pki.keys import PrivateKey, key_algorithm, key_id, public_der
from generator.pki.request import Request
from generator.pki.store import PkiStore
from generator.pki.words import chain_text, request_text
from generator.sealing import shown


@dataclass(frozen=True, slots=True)
class Arrival:
    """Whether the certificate of one CA has come in: `missing` says what is waited for, "" when nothing is.

    `text` is the chain as the store keeps it, ours first and the root last.
    """

    missing: str
    has_key: bool
    needs_request: bool
    chain: list[x509.Certificate]
    text: str


def arrived(store: PkiStore, request: Request) -> Arrival:
    """Return what of an externally signed CA is there. Raises PkiError for a certificate that cannot be used."""
    name = request.name
    has_key = store.key_path(name).is_file()
    has_request = store.request_path(name).is_file()
    if store.has(name) and has_key:
        found = store.chain(name)
        if len(found) > 1 or found[0].issuer != found[0].subject:
            chain = _ordered(store, request, found)
            return Arrival("", True, False, chain, chain_text(chain))
        # A CA of our own from before: its key stays, so that what it has signed stays good; its request goes out.
    elif store.has(name):
        raise PkiError(
            f"{shown(store.key_path(name))}: the key of this certificate authority is missing; restore it from git"
        )
    missing = (
        f"{shown(store.path(name))}: waiting for the certificate of an external CA; "
        f"have {shown(store.request_path(name))} signed as a CA (CA:TRUE, path length 0), write the certificate "
        "and behind it those above it up to the root into this file, and run again"
    )
    return Arrival(missing, has_key, not (has_request and has_key), [], "")


def request_file(request: Request, key: PrivateKey) -> str:
    """Return a signing request as words above its PEM."""
    words = request_text(request, ()).replace(request.algorithm, f"{key_algorithm(key)}, id {key_id(key)}")
    return words + signing_request(request, key)


def _ordered(store: PkiStore, request: Request, found: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the chain from our certificate up to the root, whatever the order in the file."""
    where = shown(store.path(request.name))
    ours = _ours(store, request, found)
    if not is_ca(ours):
        raise PkiError(
            f"{where}: our certificate was not signed as a certificate authority; have {request.name}.csr signed again "
            "with basicConstraints CA:TRUE, path length 0, and keyCertSign"
        )
    if ours.subject.rfc4514_string() == "":
        raise PkiError(f"{where}: our certificate has no subject; have {request.name}.csr signed again with one")
    chain = [ours]
    rest = [item for item in found if item is not ours]
    while chain[-1].issuer != chain[-1].subject:
        above = next((item for item in rest if signed_by(chain[-1], item)), None)
        if above is None:
            raise PkiError(
                f"{where}: the certificate of {chain[-1].issuer.rfc4514_string()}, which signed "
                f"{chain[-1].subject.rfc4514_string()}, is not in the file; append it, up to the root"
            )
        chain.append(above)
        rest.remove(above)
    if rest:
        raise PkiError(
            f"{where}: {rest[0].subject.rfc4514_string()} is not part of the chain; remove it, since hosts trust "
            "every certificate of this file"
        )
    return chain


def _ours(store: PkiStore, request: Request, found: list[x509.Certificate]) -> x509.Certificate:
    path = store.request_path(request.name)
    if not path.is_file():
        return found[0]
    try:
        asked = x509.load_pem_x509_csr(path.read_bytes())
    except ValueError:
        raise PkiError(f"{shown(path)}: there is no signing request in it; restore the file from git") from None
    wanted = public_der(asked.public_key())
    ours = next((item for item in found if public_der(item.public_key()) == wanted), None)
    if ours is None:
        raise PkiError(
            f"{shown(store.path(request.name))}: no certificate in it matches the private key; have "
            f"{shown(path)} signed, and nothing else"
        )
    return ours
