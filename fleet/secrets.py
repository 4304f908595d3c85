"""Secrets by name, opened in memory on their way to a host and proved to be what the manifest says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from fleet.items import SLOT, Item
from generator.errors import PkiError, SealingError
from generator.pki.issuing import load_certificates
from generator.pki.keys import key_id, private_key_id
from generator.sealing import Identity, sealed_path, unseal_file


class SecretStore:
    """The sealed secrets of one cluster. The identity is asked for when the first secret is opened, not before."""

    def __init__(self, cluster_dir: Path, identity: Callable[[], Identity]) -> None:
        self._dir = cluster_dir
        self._identity = identity
        self._opened: dict[str, bytes] = {}

    def value(self, name: str, expected_id: str = "") -> bytes:
        """Return a secret that has the id which the tree says; a private key must match its certificate, too.

        Raises SealingError where it is not sealed or does not open, PkiError where key, id and certificate disagree.
        """
        if name not in self._opened:
            path = sealed_path(self._dir, name)
            if not path.is_file():
                raise SealingError(
                    f"{self._dir.name}: secret {name} is not sealed in {path.relative_to(self._dir)}; run "
                    f"`invoke render`"
                )
            self._opened[name] = unseal_file(path, self._identity())
        value = self._opened[name]
        if name.startswith("pki/"):
            self._prove_key(name, value, expected_id)
        elif expected_id:
            self._prove_listed(name, expected_id)
        return value

    def content(self, item: Item) -> bytes:
        """Return the bytes of an item as they go to the host: a key, or a text with its slots filled."""
        if item.kind == "secret":
            return self.value(item.secret, item.id)
        filled = item.content.decode("utf-8")
        return SLOT.sub(lambda slot: self._text(slot.group(1), item), filled).encode("utf-8")

    def _text(self, name: str, item: Item) -> str:
        try:
            return self.value(name, item.secrets.get(name, "")).decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError:
            raise SealingError(
                f"{self._dir.name}: secret {name} is no text and cannot stand in {item.path}; seal a text"
            ) from None

    def _prove_listed(self, name: str, expected_id: str) -> None:
        """Raise PkiError where the list of ids beside the sealed files says that this is another value by now."""
        path = self._dir / "secrets" / "index.yaml"
        try:
            listed = (yaml.safe_load(path.read_bytes()) or {}).get("secrets") or {}
            found = str(listed.get(name, expected_id))
        except FileNotFoundError:
            return
        except (OSError, AttributeError, yaml.YAMLError) as error:
            raise PkiError(f"{self._dir.name}: {path.relative_to(self._dir)} cannot be read ({error})") from None
        if found != expected_id:
            raise PkiError(
                f"{self._dir.name}: secret {name} has id {found}, the rendered tree says {expected_id}; run "
                f"`invoke render` and review"
            )

    def _prove_key(self, name: str, value: bytes, expected_id: str) -> None:
        found = private_key_id(value, f"{self._dir.name}: {name}")
        if expected_id and found != expected_id:
            raise PkiError(
                f"{self._dir.name}: key {name} has id {found}, the rendered tree says {expected_id}; run "
                f"`invoke render` and review"
            )
        certificate = self._dir / f"{name}.crt"
        if certificate.is_file():
            first = load_certificates(certificate.read_bytes(), name)[0]
            if key_id(first.public_key()) != found:
                raise PkiError(
                    f"{self._dir.name}: key {name} does not belong to its certificate; restore both from "
                    f"git, or run `invoke certs.issue`"
                )
