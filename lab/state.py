"""The one lab that a machine can have: its hosts, remembered in a JSON file in the cache."""

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

from lab.cache import lab_root
from lab.network import host_address


@dataclass(frozen=True)
class Host:
    """One host of the lab: its name and its index, from which its address follows."""

    name: str
    index: int

    @property
    def address(self) -> IPv4Address:
        """The host's address on the lab's bridge."""
        return host_address(self.index)

    @property
    def folder(self) -> Path:
        """Where the host's disk, console log and process id lie."""
        return lab_root() / "hosts" / self.name

    @property
    def root(self) -> Path:
        """The host's root file system, readable and writable from the machine."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What the host printed on its console, all boots since its creation."""
        return self.folder / "console.log"


def _state_path() -> Path:
    return lab_root() / "state.json"


def recorded_hosts() -> list[Host]:
    """Return the hosts of the lab in the order of their addresses; none when there is no lab."""
    path = _state_path()
    if not path.exists():
        return []
    return [Host(**entry) for entry in json.loads(path.read_text())["hosts"]]


def record_hosts(hosts: list[Host]) -> None:
    """Remember the hosts; without any the file goes."""
    path = _state_path()
    if not hosts:
        path.unlink(missing_ok=True)
        return
    ordered = sorted(hosts, key=lambda host: host.index)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"hosts": [asdict(host) for host in ordered]}, indent=2) + "\n")
    fresh.rename(path)
