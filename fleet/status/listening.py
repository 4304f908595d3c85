"""Who listens on a host, read from /proc/net, and how that compares with the port table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from fleet.ports import Port

PODS = "kubepods"
"""Stands for the unit of a process that runs in a pod."""


@dataclass(frozen=True, slots=True, order=True)
class Listening:
    """One listening TCP socket; `unit` is the systemd unit of its process, or PODS. "" and 0: not known."""

    port: int
    address: str
    process: str = ""
    pid: int = 0
    unit: str = ""

    @property
    def scope(self) -> str:
        """Where it is bound, in the words of the port table: loopback, any or address."""
        address = _parsed(self.address)
        if address.is_loopback:
            return "loopback"
        return "any" if address.is_unspecified else "address"

    def where(self, addresses: Collection[str]) -> str:
        """Return its scope on a host with these addresses, "" where it is bound to an address that is none of them."""
        return "" if self.scope == "address" and self.address not in addresses else self.scope

    @property
    def at(self) -> str:
        """Address and port as people write them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def holder(self) -> str:
        """Who holds it, for a message."""
        if not self.process:
            return "a process that could not be made out"
        return f"{self.process} of {'a pod' if self.unit == PODS else self.unit}" if self.unit else self.process


def socket_address(text: str) -> tuple[str, int]:
    """Return address and port of a socket as /proc/net/tcp and tcp6 write them (proc(5)).

    Addresses are hexadecimal words of 32 bits in the byte order of the machine, which is little-endian on all that
    Slipway knows. An IPv4 address in IPv6 clothes is returned as IPv4. Raises ValueError for anything else.
    """
    address, _, port = text.partition(":")
    if len(address) not in (8, 32):
        raise ValueError(f"{text} is no socket address")
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    if len(raw) == 4:
        return str(IPv4Address(raw)), int(port, 16)
    found = IPv6Address(raw)
    return str(found.ipv4_mapped or found), int(port, 16)


def listening_from(lines: Iterable[Sequence[str]]) -> tuple[Listening, ...]:
    """Return who listens from the lines "listen" and "holder" of fleet/scripts/listeners.sh.

    Raises ValueError or IndexError for lines that the script cannot have given.
    """
    holders: dict[str, tuple[str, int, str]] = {}
    sockets: list[tuple[str, str]] = []
    for word, *rest in lines:
        if word == "listen":
            sockets.append((rest[1], rest[2]))
        else:
            inode, pid, name, unit = rest
            holders[inode] = ("" if name == "-" else name, int(pid), "" if unit == "-" else unit)
    found: set[Listening] = set()
    for text, inode in sockets:
        address, port = socket_address(text)
        found.add(Listening(port, address, *holders.get(inode, ("", 0, ""))))
    return tuple(sorted(found))


def missing(table: Iterable[Port], found: Sequence[Listening], address: str) -> tuple[tuple[Port, str], ...]:
    """Return the ports that should be open and are not, each with the scope on which nobody listens.

    `address` is the host's own: what is bound to another address does not count for it, and what is bound to every
    address counts everywhere.
    """
    lacking: list[tuple[Port, str]] = []
    for port in table:
        if port.may_be_shut or not port.is_tcp or port.component == "sshd":
            continue
        here = [one for one in found if one.port == port.first]
        for scope in sorted(port.scopes):
            if not any(_serves(one, scope, address) for one in here):
                lacking.append((port, scope))
    return tuple(lacking)


def foreign(
    table: Iterable[Port], found: Iterable[Listening], addresses: Collection[str]
) -> tuple[tuple[Listening, str], ...]:
    """Return what listens and should not, each with the reason: no such port in the table, or not on that address.

    `addresses` are the host's own, two on a dual-stack host. What is bound to another address, such as that of a second
    network card, is where the table does not want it.
    """
    ports = tuple(port for port in table if port.is_tcp)
    strange: list[tuple[Listening, str]] = []
    for one in sorted(set(found)):
        lines = [port for port in ports if port.holds(one.port)]
        if not lines:
            strange.append((one, "the port table does not name it"))
        elif all(port.is_turned for port in lines):
            strange.append((one, f"the pod network sends what comes to it from outside to {lines[0].component}"))
        elif not any(_wants(port, one, addresses) for port in lines):
            scopes = sorted({scope for port in lines for scope in port.scopes})
            names = " and ".join(_SCOPES[scope] for scope in scopes)
            strange.append((one, f"{lines[0].component} is to listen on {names} only"))
    return tuple(strange)


_SCOPES = {
    "loopback": "loopback",
    "address": "the host's own address",
    "virtual": "the virtual address",
    "local": "an address of its own",
    "any": "every address",
}


def _wants(port: Port, one: Listening, addresses: Collection[str]) -> bool:
    # A virtual address is nobody's own, and only what is meant to be bound to one may be bound to a foreign address.
    where = one.where(addresses)
    return "any" in port.scopes or where in port.scopes or (where == "" and bool({"virtual", "local"} & port.scopes))


def scope_words(scope: str) -> str:
    """Return a scope of the port table for a message."""
    return _SCOPES[scope]


def _serves(one: Listening, scope: str, address: str) -> bool:
    if one.scope == "any":
        return True
    if scope in {"virtual", "local"}:
        return one.scope == "address" and one.address != address
    return one.scope == scope and (scope != "address" or one.address == address)


def _parsed(address: str) -> IPv4Address | IPv6Address:
    return IPv6Address(address) if ":" in address else IPv4Address(address)
