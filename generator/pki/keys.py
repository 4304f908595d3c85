"""Keys: made, written, read, and named by the digest of their public half."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from generator.errors import PkiError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def new_key(algorithm: str) -> PrivateKey:
    """Return a new private key: ecdsa-p256, rsa-2048, rsa-3072 or rsa-4096."""
    if algorithm == "ecdsa-p256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm in {"rsa-2048", "rsa-3072", "rsa-4096"}:
        return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("rsa-")))
    raise PkiError(f"{algorithm}: no such key algorithm; use ecdsa-p256, rsa-2048, rsa-3072 or rsa-4096")


def key_algorithm(key: object) -> str:
    """Return the algorithm of a public or private key in the words of the spec, "unknown" for any other kind."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return "ecdsa-p256"
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return f"rsa-{key.key_size}"
    return "unknown"


def key_pem(key: PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8 PEM, which every component reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes, what: str) -> PrivateKey:
    """Return the private key of a PEM text; raises PkiError that begins with `what`."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise PkiError(f"{what}: what is sealed there is no private key; restore the file from git") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError(f"{what}: the private key is of a type that is not used here; restore the file from git")
    return key


def public_der(key: object) -> bytes:
    """Return a public key, or the public half of a private one, as SubjectPublicKeyInfo in DER."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else key
    der: bytes = public.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def public_pem(key: PrivateKey) -> str:
    """Return the public half of a key as PEM."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode("ascii")
    )


def key_id(key: object) -> str:
    """Return the id of a key pair: the first 16 hex digits of the SHA-256 of its public key in DER."""
    return hashlib.sha256(public_der(key)).hexdigest()[:16]


def private_key_id(pem: bytes, what: str = "private key") -> str:
    """Return the id of a private key in PEM; equal to `certificate_key_id` of its certificate. Raises PkiError."""
    return key_id(load_key(pem, what))
