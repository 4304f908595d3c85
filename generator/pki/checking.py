"""Whether what lies in a cluster's folder is whole: sealed files are sealed, keys match what stands beside them."""

from __future__ import annotations

from pathlib import Path

from generator import sealing
from generator.errors import PkiError
from generator.pki.certificates import certificates
from generator.pki.keys import key_id, load_key
from generator.pki.store import PkiStore
from generator.sealing import Identity, shown
from generator.spec.model import Cluster


def check_form(path: Path) -> None:
    """Raise PkiError where a file is missing or not sealed; no identity is needed for that."""
    try:
        sealed = sealing.is_sealed(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        sealed = False
    if not sealed:
        raise PkiError(f"{shown(path)}: this is no sealed file (age, armored); restore it from git")


def check_keys(cluster: Cluster, cluster_dir: Path, identity: Identity) -> None:
    """Open every sealed key and compare it with its certificate; raise PkiError for all that do not match."""
    store = PkiStore(cluster_dir)
    faults: list[str] = []
    pairs = store.service_account_keys()
    for name in (*(request.name for request in certificates(cluster)), *pairs):
        path = store.key_path(name)
        key = load_key(sealing.unseal_file(path, identity), shown(path))
        if key_id(key) != store.key_id(name):
            beside = store.path(f"{name}.pub" if name in pairs else name)
            faults.append(f"{shown(path)}: the key does not match {shown(beside)}; restore both from the same commit")
    if faults:
        raise PkiError("\n".join(faults))
