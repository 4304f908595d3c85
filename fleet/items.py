"""One item of a host as rendered/ lists it: read from a manifest, checked, and what it stands for in a digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from generator.errors import StaleTreeError

Kind = Literal["package", "user", "directory", "file", "secret", "link", "binary", "unit"]
KINDS: tuple[Kind, ...] = ("package", "user", "directory", "file", "secret", "link", "binary", "unit")
"""Every kind, in the order in which a phase puts them on a host."""

SLOT = re.compile(r"\{\{secret:([^}]*)\}\}")

_PATH = re.compile(r"/[^\x00-\x1f\x7f]+")
_NAME = re.compile(r"[A-Za-z0-9_.@:\\+-]+")
_MODE = re.compile(r"0[0-7]{3}")
_BY_KIND: Mapping[str, frozenset[str]] = {
    "file": frozenset({"path", "mode", "owner", "group", "secrets", "restarts", "reloads"}),
    "secret": frozenset({"path", "mode", "owner", "group", "secret", "id", "restarts", "reloads"}),
    "link": frozenset({"path", "target", "restarts", "reloads"}),
    "directory": frozenset({"path", "mode", "owner", "group"}),
    "binary": frozenset({"path", "artifact", "version", "arch", "member"}),
    "user": frozenset({"name", "groups"}),
    "package": frozenset({"name"}),
    "unit": frozenset({"name", "start", "drainKey"}),
}


@dataclass(frozen=True)
class Item:
    """One thing that a host is to have. `key` is its path, or kind and name ("unit:kubelet.service").

    `content` is the text of a file as rendered, slots unfilled; `secrets` maps the slots' names to ids. `sha256` of a
    binary is its artifact's digest from bom.yaml ("unlocked" where there is none). `recorded_id` is the content's word
    as a host wrote it down, for an item of a generation whose content lies on that host alone.
    """

    kind: Kind
    key: str
    component: str
    phase: str
    path: str = ""
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"
    restarts: tuple[str, ...] = ()
    reloads: tuple[str, ...] = ()
    content: bytes = field(default=b"", repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""
    id: str = ""
    target: str = ""
    artifact: str = ""
    version: str = ""
    arch: str = ""
    member: str = ""
    sha256: str = ""
    name: str = ""
    groups: tuple[str, ...] = ()
    start: bool = True
    drain_key: str = ""
    recorded_id: str = ""

    @property
    def is_secret(self) -> bool:
        """Whether the bytes on the host are secret: a key, or a text with filled slots."""
        return self.kind == "secret" or bool(self.secrets)

    @cached_property
    def content_id(self) -> str:
        """What the content is, in one word without spaces, known without opening a secret.

        Plain files: SHA-256 of their bytes. Keys: their id. Texts with slots: a digest over text and ids. Binaries: the
        artifact's SHA-256. Links: their target. A host records it beside what it installed.
        """
        if self.recorded_id:
            return self.recorded_id
        if self.kind == "file" and not self.secrets:
            return hashlib.sha256(self.content).hexdigest()
        if self.kind == "file":
            ids = "".join(f"\n{name}={secret}" for name, secret in sorted(self.secrets.items()))
            return "t-" + hashlib.sha256(self.content + ids.encode()).hexdigest()[:32]
        return {"secret": self.id, "binary": self.sha256, "link": self.target}.get(self.kind, "")

    @property
    def blob(self) -> str:
        """The name under which the content is staged, "" for what has none; equal content has one name."""
        if self.kind == "secret":
            return f"k-{self.id}-{hashlib.sha256(self.secret.encode()).hexdigest()[:16]}"
        return self.content_id if self.kind == "file" else ""

    @cached_property
    def statement(self) -> str:
        """The line that stands for the item in its host's digest: what is to be there, not when and by whom."""
        match self.kind:
            case "file" | "secret":
                words = [self.path, f"{self.mode:04o}", self.owner, self.group, self.content_id]
            case "directory":
                words = [self.path, f"{self.mode:04o}", self.owner, self.group]
            case "link":
                words = [self.path, self.target]
            case "binary":
                words = [self.path, self.sha256, self.member]
            case "user":
                words = [self.name, *self.groups]
            case "unit":
                words = [self.name, str(self.start), self.drain_key]
            case _:
                words = [self.name]
        return "\t".join([self.kind, *words])


def item_from(entry: Any, component: str, rootfs: Path, where: str) -> Item:
    """Return the item that one entry of a manifest describes; `where` names the manifest in messages.

    Raises StaleTreeError for anything that render would not have written: unknown keys, a relative or unclean path,
    control characters, a missing content file. What passes can be written as one line of tab-separated words.
    """
    if not isinstance(entry, dict) or entry.get("kind") not in KINDS:
        raise _broken(where, f"{entry!r} is no item of a known kind")
    kind = cast(Kind, entry["kind"])
    subject = str(entry.get("path") or entry.get("name"))
    unknown = set(entry) - _BY_KIND[kind] - {"kind", "phase", "component"}
    if unknown:
        raise _broken(where, f"{subject}: unknown keys {', '.join(sorted(unknown))}")
    if "path" in _BY_KIND[kind]:
        if not _PATH.fullmatch(subject) or any(part in {"", ".", ".."} for part in subject[1:].split("/")):
            raise _broken(where, f"{subject!r} is no clean absolute path")
        key, path, name = subject, subject, ""
    else:
        if not _NAME.fullmatch(subject):
            raise _broken(where, f"{subject!r} is no name of a {kind}")
        key, path, name = f"{kind}:{subject}", "", subject
    mode = str(entry.get("mode", "0755"))
    if not _MODE.fullmatch(mode):
        raise _broken(where, f"{subject}: mode {mode!r} is not four octal digits")
    texts = {
        word: str(entry.get(word, ""))
        for word in ("secret", "id", "target", "artifact", "version", "arch", "member", "drainKey")
    }
    for word, text in [
        *texts.items(),
        ("owner", str(entry.get("owner", "root"))),
        ("group", str(entry.get("group", "root"))),
    ]:
        if any(char < " " or char == "\x7f" for char in text):
            raise _broken(where, f"{subject}: control characters in {word}")
    lists = {word: tuple(str(one) for one in entry.get(word, ())) for word in ("restarts", "reloads", "groups")}
    for word, values in lists.items():
        if not all(_NAME.fullmatch(value) for value in values):
            raise _broken(where, f"{subject}: {word} {list(values)} are no names")
    content = b""
    if kind == "file":
        try:
            content = (rootfs / path[1:]).read_bytes()
        except OSError as error:
            raise _broken(
                where, f"{subject}: its content beside the manifest cannot be read ({error.strerror})"
            ) from None
    secrets = {str(name): str(secret) for name, secret in (entry.get("secrets") or {}).items()}
    if kind == "file" and secrets and set(SLOT.findall(content.decode("utf-8", "replace"))) != set(secrets):
        raise _broken(where, f"{subject}: its slots and its list of secrets differ")
    if kind == "secret" and not (_NAME.fullmatch(texts["id"]) and texts["secret"]):
        raise _broken(where, f"{subject}: a secret needs a name and an id")
    if not entry.get("phase") or not (component or entry.get("component")):
        raise _broken(where, f"{subject}: phase or component is missing")
    return Item(
        kind=kind,
        key=key,
        component=str(entry.get("component", component)),
        phase=str(entry["phase"]),
        path=path,
        mode=int(mode, 8),
        owner=str(entry.get("owner", "root")),
        group=str(entry.get("group", "root")),
        content=content,
        secrets=secrets,
        name=name,
        start=bool(entry.get("start", True)),
        drain_key=texts["drainKey"],
        secret=texts["secret"],
        id=texts["id"],
        target=texts["target"],
        artifact=texts["artifact"],
        version=texts["version"],
        arch=texts["arch"],
        member=texts["member"],
        restarts=lists["restarts"],
        reloads=lists["reloads"],
        groups=lists["groups"],
    )


def _broken(where: str, what: str) -> StaleTreeError:
    return StaleTreeError(f"{where}: {what}; run `invoke render` and review the difference", [where])
