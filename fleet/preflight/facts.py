"""What one host says of itself when it is asked whether it can be used, and what it is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from fleet.host_scripts import Lines
from fleet.preflight import wants
from fleet.question import outside
from fleet.status.listening import Listening, listening_from
from fleet.tree import Host, RenderedTree
from generator.errors import HostError


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system in which a folder lies or will lie: free KiB, its mount point, free inodes (None: no limit)."""

    free: int
    mount: str
    inodes: int | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """One host as it is. None, "" or nothing where it could not be told: then no check speaks of it.

    `clock_ahead` in seconds before this machine's clock; `memory` in KiB; `cgroup` 1, 2 or 0 (not told);
    `nameservers` None without a resolv.conf; `modules` are those that are missing, or "unknown"; `urls` maps what was
    asked for to why it did not answer ("" when it did); `unresolved` are the names of which it was asked and that it
    does not find; `own` are the keys of what we have installed, and `underway` says that more of ours is there than is
    recorded: a run is in the middle, or our user-data has made the host; `gpus` counts the cards, None where nobody
    asked, and `gpu_driver` is what their driver says of itself, "" where none is loaded.
    """

    host: str
    clock_ahead: float = 0.0
    arch: str = ""
    os_id: str = ""
    os_version: str = ""
    hostname: str = ""
    kernel: str = ""
    machine_id: str = ""
    product_uuid: str = ""
    cpus: int | None = None
    memory: int | None = None
    selinux: str = ""
    inotify: Mapping[str, int] = field(default_factory=dict)
    cgroup: int = 0
    swaps: tuple[str, ...] = ()
    readonly: frozenset[str] = frozenset()
    disks: Mapping[str, Disk] = field(default_factory=dict)
    timezone: str = ""
    missing: tuple[str, ...] = ()
    active: frozenset[str] = frozenset()
    ufw: bool = False
    modules: Mapping[str, str] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
    nameservers: tuple[str, ...] | None = None
    resolves_itself: bool | None = None
    unresolved: tuple[str, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    generation: str = ""
    underway: bool = False
    own: frozenset[str] = frozenset()
    remains: tuple[str, ...] = ()
    listening: tuple[Listening, ...] = ()
    gpus: int | None = None
    gpu_driver: str = ""

    @property
    def settled(self) -> bool:
        """Whether it already runs this cluster: an apply has come to its end here."""
        return bool(self.generation)


def inquiry(tree: RenderedTree, host: Host, skip: Collection[str] = ()) -> bytes:
    """Return what fleet/scripts/preflight.sh is to look at on a host; `skip` names checks that are left out."""
    lines = [
        *(f"program\t{name}" for name in wants.programs(tree, host)),
        *(f"folder\t{path}" for path in wants.room(host)),
        *(f"module\t{name}" for name in wants.modules(host)),
        *(f"service\t{name}" for name in (*wants.TIME_SERVICES, *wants.FIREWALLS)),
        *(f"name\t{name}" for name in wants.names(host) if "names" not in skip),
        *(f"remains\t{pattern}" for pattern in wants.remains(tree, host)),
        *(f"url\t{url}" for url in (*wants.urls(tree, host), *wants.sources(host)) if "mirror" not in skip),
        *(f"gpu\t{vendor}" for vendor in wants.gpus(host)),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def machine_from(host: str, lines: Lines, *, asked: float, now: float) -> Machine:
    """Return the facts in an answer; `asked` and `now` (seconds since 1970): when it was sent for, when it came.

    Raises HostError for a line that the script cannot have given.
    """
    try:
        return _machine(host, lines, asked, now)
    except (ValueError, IndexError, KeyError) as error:
        raise HostError(f"{host}: preflight: the answer is not understood ({error}); look at the host", host) from None


_TEXTS = {
    "arch",
    "hostname",
    "kernel",
    "machine-id",
    "product-uuid",
    "selinux",
    "timezone",
    "generation",
    "cpus",
    "gpu-driver",
}
_LISTS = {"swap", "readonly", "missing", "active", "address", "nameserver", "unresolved", "own", "remains"}
_FLAGS = {"ufw", "resolver", "underway"}


def _machine(host: str, lines: Lines, asked: float, now: float) -> Machine:
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {name: [] for name in _LISTS}
    numbers: dict[str, int] = {}
    maps: dict[str, dict[str, str]] = {"module": {}, "url": {}, "resolves": {}}
    room: dict[str, tuple[int, str]] = {}
    inodes: dict[str, int] = {}
    flags: set[str] = set()
    sockets: list[tuple[str, ...]] = []
    system = ("", "")
    for word, *rest in lines:
        if word in _TEXTS:
            texts[word] = rest[0].strip()
        elif word in _LISTS:
            lists[word].append(rest[0])
        elif word in _FLAGS:
            flags.add(word)
        elif word in maps:
            maps[word][rest[0]] = rest[1]
        else:
            match word:
                case "slipway":
                    if rest != ["1"]:
                        raise ValueError("another version of the protocol")
                case "time" | "memory" | "instances" | "watches" | "cgroup" | "gpus":
                    numbers[word] = int(rest[0])
                case "os":
                    system = (rest[0].strip("-"), rest[1].strip("-"))
                case "disk":
                    room[rest[0]] = (int(rest[1]), rest[2])
                case "inodes":
                    inodes[rest[0]] = int(rest[1])
                case "address6":
                    lists["address"].append(str(IPv6Address(bytes.fromhex(rest[0]))))
                case "listen" | "holder":
                    sockets.append((word, *rest))
                case _:
                    raise ValueError(f"unknown line {word}")
    return Machine(
        host=host,
        clock_ahead=outside(numbers["time"], asked, now),
        arch=texts["arch"],
        os_id=system[0],
        os_version=system[1],
        hostname=texts.get("hostname", ""),
        kernel=texts.get("kernel", ""),
        machine_id=texts.get("machine-id", ""),
        product_uuid=texts.get("product-uuid", ""),
        cpus=_count(texts["cpus"]) if "cpus" in texts else None,
        memory=numbers.get("memory"),
        selinux={"1": "enforcing", "0": "permissive"}.get(texts.get("selinux", ""), ""),
        inotify={name: numbers[name] for name in ("instances", "watches") if name in numbers},
        cgroup=numbers.get("cgroup", 0),
        swaps=tuple(lists["swap"]),
        readonly=frozenset(lists["readonly"]),
        disks={path: Disk(free, mount, inodes.get(path)) for path, (free, mount) in room.items()},
        timezone=texts.get("timezone", ""),
        missing=tuple(lists["missing"]),
        active=frozenset(lists["active"]),
        ufw="ufw" in flags,
        modules=maps["module"],
        addresses=frozenset(lists["address"]),
        nameservers=tuple(lists["nameserver"]) if "resolver" in flags else None,
        resolves_itself=next((answer == "yes" for answer in maps["resolves"].values()), None),
        unresolved=tuple(lists["unresolved"]),
        urls={url: "" if reason == "-" else reason for url, reason in maps["url"].items()},
        generation=texts.get("generation", ""),
        underway="underway" in flags,
        own=frozenset(lists["own"]),
        remains=tuple(sorted(set(lists["remains"]))),
        listening=listening_from(sockets),
        gpus=numbers.get("gpus"),
        gpu_driver=texts.get("gpu-driver", ""),
    )


def _count(ranges: str) -> int:
    """Return how many processors "0-3,6" are, as the kernel lists them."""
    total = 0
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total
