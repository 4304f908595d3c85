"""nftables as sets and rules, written the same way every time (nft(8)); read by every nft from 0.9.3 on.

A set is written once for each family that it has addresses of, since a set holds one type: `etcd4`, `etcd6`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
_SADDR = {4: "ip saddr", 6: "ip6 saddr"}


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A named set of addresses and ranges, of both families."""

    name: str
    ranges: tuple[str, ...]

    @property
    def families(self) -> tuple[int, ...]:
        """The families of which it has addresses."""
        return tuple(family for family in (4, 6) if self._of(family))

    def text(self) -> str:
        """Return the set as it stands in a table, one address on a line, in the order of numbers."""
        return "".join(self._family(family) for family in self.families)

    def _of(self, family: int) -> list[str]:
        found = [ipaddress.ip_network(one) for one in self.ranges]
        if family == 4:
            merged = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv4Network))
            return [_written(str(one)) for one in sorted(merged)]
        again = ipaddress.collapse_addresses(one for one in found if isinstance(one, ipaddress.IPv6Network))
        return [_written(str(one)) for one in sorted(again)]

    def _family(self, family: int) -> str:
        elements = self._of(family)
        # Ranges need an interval set; for single addresses a plain one is looked up faster and shown as written.
        flags = ["    flags interval"] if any("/" in one for one in elements) else []
        lines = [f"set {self.name}{family} {{", f"    type {_TYPES[family]}", *flags, "    elements = {"]
        lines += [f"        {one}," for one in elements]
        return "\n".join([*lines, "    }", "}"]) + "\n"


@dataclass(frozen=True, slots=True)
class Accept:
    """A rule that lets calls to a port in: from named sets, from ranges, or with `anyone` from everywhere.

    `matches` are how its packets are told from others, such as "tcp dport 6443"; each gives rules of its own.
    """

    matches: tuple[str, ...]
    comment: str
    sets: tuple[AddressSet, ...] = ()
    ranges: tuple[str, ...] = ()
    anyone: bool = False

    def lines(self) -> list[str]:
        """Return the rules; none where nobody is let in."""
        sources = [""] if self.anyone else list(self._sources())
        return [f'{match}{source} accept comment "{self.comment}"' for match in self.matches for source in sources]

    def _sources(self) -> Iterable[str]:
        for one in self.sets:
            for family in one.families:
                yield f" {_SADDR[family]} @{one.name}{family}"
        for family in (4, 6):
            own = [one for one in self.ranges if ipaddress.ip_network(one).version == family]
            if own:
                merged = AddressSet("", tuple(own))
                yield f" {_SADDR[family]} {{ {', '.join(merged._of(family))} }}"


def block(head: str, lines: Sequence[str]) -> str:
    """Return a block with its lines indented, such as a table or a chain."""
    inner = "".join(f"    {line}\n" if line else "\n" for line in lines)
    return f"{head} {{\n{inner}}}\n"


def _written(cidr: str) -> str:
    """Return a range as nft lists it: a single address without its prefix."""
    return cidr.removesuffix("/32") if ":" not in cidr else cidr.removesuffix("/128")
