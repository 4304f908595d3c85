"""What an EncryptionConfiguration as rendered says about keys: which one writes, which ones only read, for what.

Render compares the tree that it replaces by this, and fleet learns from it what a rewrite has to cover. The keys stand
in it as slots `{{secret:encryption/1}}`, never as values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

_SLOT = re.compile(r"\{\{secret:([^}]*)\}\}")


@dataclass(frozen=True, slots=True)
class EncryptionConfig:
    """The keys by secret name, the writer first; `provider` is the one that writes, "" where plain text is written."""

    provider: str
    keys: tuple[str, ...]
    resources: tuple[str, ...]

    @property
    def writer(self) -> str:
        """The key that stands first: it writes, unless nothing is encrypted."""
        return self.keys[0] if self.keys else ""


def encryption_config(text: str) -> EncryptionConfig:
    """Return what a rendered encryption.yaml says; raises ValueError for a text that render would not write."""
    try:
        document: Any = yaml.safe_load(text)
        [rule] = document["resources"]
        first, *_ = rule["providers"]
        keyed = [entry for provider in rule["providers"] for entry in provider.items() if "keys" in entry[1]]
        lists = [tuple(_slot(key) for key in entry["keys"]) for _, entry in keyed]
        name = next(iter(first))
        resources = tuple(str(one) for one in rule["resources"])
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ValueError(f"no EncryptionConfiguration as rendered: {type(error).__name__}") from None
    if len(set(lists)) != 1:
        raise ValueError("no EncryptionConfiguration as rendered: its providers have different keys")
    return EncryptionConfig("" if name == "identity" else name, lists[0], resources)


def _slot(key: Any) -> str:
    found = _SLOT.fullmatch(str(key["secret"]))
    if found is None:
        raise ValueError("no EncryptionConfiguration as rendered: a key that is no slot")
    return found.group(1)
