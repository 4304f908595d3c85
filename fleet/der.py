"""DER, read strictly: the bytes of each element as they stand, so that they can be compared and not interpreted.

Only what a certificate request needs (X.690 §8, §10): definite lengths in their shortest form, tags of one byte.
"""

from __future__ import annotations

from dataclasses import dataclass

SEQUENCE = 0x30
SET = 0x31
OBJECT_IDENTIFIER = 0x06
OCTET_STRING = 0x04
INTEGER = 0x02


class DerError(ValueError):
    """The bytes are no strict DER, or not of the expected form."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag, its content, and `whole`, the bytes of tag, length and content."""

    tag: int
    content: bytes
    whole: bytes

    def children(self) -> tuple[Element, ...]:
        """Return the elements inside a constructed element."""
        if not self.tag & 0x20:
            raise DerError("an element that holds no others was to be opened")
        return elements(self.content)


def elements(data: bytes) -> tuple[Element, ...]:
    """Return the elements that fill the bytes exactly; raises DerError."""
    found: list[Element] = []
    at = 0
    while at < len(data):
        start = at
        tag = data[at]
        if tag & 0x1F == 0x1F or at + 1 >= len(data):
            raise DerError("a tag that a certificate request does not have, or the end in the middle of an element")
        length = data[at + 1]
        at += 2
        if length >= 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or at + count > len(data):
                raise DerError("a length that is indefinite, too large or cut off")
            length = int.from_bytes(data[at : at + count], "big")
            if length < 0x80 or length >> (8 * (count - 1)) == 0:
                raise DerError("a length that is not in its shortest form")
            at += count
        if at + length > len(data):
            raise DerError("an element that is longer than what holds it")
        found.append(Element(tag, data[at : at + length], data[start : at + length]))
        at += length
    return tuple(found)


def only(data: bytes, tag: int) -> Element:
    """Return the one element that fills the bytes; raises DerError where it is another or not alone."""
    found = elements(data)
    if len(found) != 1 or found[0].tag != tag:
        raise DerError(f"one element with tag {tag:#04x} was expected")
    return found[0]
