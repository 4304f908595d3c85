"""User-data for cloud-init: two parts of `#cloud-config` made one, and the forms in which a place takes it.

Each part stands for itself, so that people can also hand both to cloud-init as they are (its `merge_how` appends
lists). Put together by Slipway they are one document, which is their text one after the other: what was reviewed.
"""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from generator.formats.yaml_text import block_scalar, yaml_line, yaml_text

FIRST_LINE = "#cloud-config"
FILES = "write_files:"
MERGE_HOW = "merge_how: [{name: list, settings: [append]}, {name: dict, settings: [no_replace, recurse_list]}]"
"""How cloud-init lays a second part over a first: lists are joined, what the first says stays."""

Form = Literal["plain", "gzip", "mime"]
FORMS: tuple[Form, ...] = ("plain", "gzip", "mime")
"""From the most readable on: text, the text compressed, and a MIME message (text) with the compressed text in it."""

_BOUNDARY = "==slipway=="
_MIME_HEAD = (
    f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n--{_BOUNDARY}\n'
    "Content-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n"
)
_MIME_TAIL = f"--{_BOUNDARY}--\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: comments below the first line, keys as text, and the entries of write_files."""

    comments: tuple[str, ...]
    keys: str
    files: str

    def text(self) -> str:
        """Return the part as it is written into the tree."""
        comments = "".join(f"# {line}\n" for line in self.comments)
        files = f"{FILES}\n{self.files}" if self.files else ""
        return f"{FIRST_LINE}\n{comments}{MERGE_HOW}\n{self.keys}{files}"


def part_of(text: str) -> Part:
    """Return the part that a text of the tree is; raises ValueError where it is none of ours."""
    head, merge_how, rest = text.partition(f"{MERGE_HOW}\n")
    first, *comments = head.splitlines()
    if not merge_how or first != FIRST_LINE or not all(line.startswith("# ") for line in comments):
        raise ValueError("this is no part of user-data as render writes it")
    # A key stands at the beginning of a line; contents are indented.
    keys, _, files = f"\n{rest}".partition(f"\n{FILES}\n")
    keys = f"{keys[1:]}\n" if files and keys[1:] else keys[1:]
    return Part(tuple(line.removeprefix("# ") for line in comments), keys, files)


def whole(parts: Iterable[Part]) -> str:
    """Return one `#cloud-config` from parts that share no key but write_files."""
    found = list(parts)
    comments = "".join(f"# {line}\n" for part in found for line in part.comments)
    keys = "".join(part.keys for part in found)
    files = "".join(part.files for part in found)
    return f"{FIRST_LINE}\n{comments}{keys}{FILES}\n{files}"


def file_entry(path: str, content: str, mode: int, owner: str = "root", group: str = "root") -> str:
    """Return one entry of write_files, its content as a block that can be read wherever YAML allows one."""
    return (
        f"- path: {block_scalar(path)}\n  permissions: '{mode:04o}'\n  owner: {block_scalar(f'{owner}:{group}')}\n"
        f"{_content(content)}"
    )


def key_text(key: str, value: Any) -> str:
    """Return one key of a part."""
    return yaml_text({key: value}, sort=False)


def word_list(key: str, commands: Iterable[Iterable[str]]) -> str:
    """Return a key that lists commands, each as its words on one line."""
    return f"{key}:\n" + "".join(f"- {yaml_line(list(command))}\n" for command in commands)


def formed(text: str, form: Form) -> bytes:
    """Return user-data in one form; the same text gives the same bytes."""
    raw = text.encode()
    if form == "plain":
        return raw
    packed = gzip.compress(raw, compresslevel=9, mtime=0)
    return packed if form == "gzip" else _mime(packed)


def sizes(text: str) -> Mapping[Form, int]:
    """Return how many bytes each form has."""
    raw = text.encode()
    packer = zlib.compressobj(9, wbits=31)
    packed = len(packer.compress(raw)) + len(packer.flush())
    encoded = (packed + 2) // 3 * 4
    return {
        "plain": len(raw),
        "gzip": packed,
        "mime": len(_MIME_HEAD) + encoded + (encoded + 75) // 76 + len(_MIME_TAIL),
    }


def _mime(packed: bytes) -> bytes:
    return (_MIME_HEAD + base64.encodebytes(packed).decode() + _MIME_TAIL).encode()


def _content(content: str) -> str:
    lines = content.split("\n")
    # A block keeps what it holds only where it begins with a character, and ends with one line end.
    readable = lines[-1] == "" and len(lines) > 1 and lines[-2] != "" and lines[0] != "" and lines[0][0] != " "
    if not readable or not all(line.replace("\t", " ").isprintable() for line in lines):
        quoted = yaml.dump(content, default_style='"', width=10**9, allow_unicode=False)
        return f"  content: {quoted}"
    return "  content: |\n" + "".join(f"    {line}\n" if line else "\n" for line in lines[:-1])
