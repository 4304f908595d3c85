"""etcd as its own members show it: who they are, who leads, how full and how far behind each one is."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fleet.connection import Connection, printable
from fleet.host_gates import etcdctl
from generator.errors import HostError

_ALARMS = {0: "NONE", 1: "NOSPACE", 2: "CORRUPT"}
"""etcdserverpb.AlarmType, in the order of its numbers."""
_QUOTA = re.compile(rb"--quota-backend-bytes=(\d+)")
DEFAULT_QUOTA = 2 * 1024**3
"""What etcd may fill where nobody says otherwise, in bytes (etcd's --quota-backend-bytes 0)."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """What a member says of itself; sizes in bytes, `leader` an id, "" where it knows none."""

    version: str
    db_size: int
    db_in_use: int
    leader: str
    raft_term: int
    raft_index: int
    raft_applied: int
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One member: `address` of its peer URL, `name` "" while it was never started, `status` None if it is silent."""

    id: str
    name: str
    address: str
    learner: bool = False
    status: MemberStatus | None = None
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EtcdFacts:
    """etcd as seen from one host (`asked`); `trouble` says why it could not be seen, and then there are no members."""

    asked: str = ""
    members: tuple[Member, ...] = ()
    quota: int = DEFAULT_QUOTA
    trouble: str = ""

    @property
    def leader(self) -> Member | None:
        """The member that leads, as the members with a status say it; None where they name none, or not the same."""
        named = {member.status.leader for member in self.members if member.status is not None}
        return next((member for member in self.members if named == {member.id}), None)

    def lag(self, member: Member) -> int:
        """Return how many entries of the log a member has yet to apply that some member knows."""
        known = [one.status.raft_index for one in self.members if one.status is not None]
        return max(0, max(known, default=0) - member.status.raft_applied) if member.status is not None else 0


async def look(
    hosts: Sequence[str],
    addresses: Sequence[str],
    access: Mapping[str, Any],
    connect: Callable[[str], Awaitable[Connection]],
    quota: int,
) -> EtcdFacts:
    """Return what etcdctl tells on the first of some hosts on which it can tell anything.

    `addresses` are those of all members of the inventory; `access` is the etcd gate of phases.yaml.
    """
    troubles: list[str] = []
    for host in hosts:
        try:
            facts = await _look_from(host, addresses, access, await connect(host), quota)
        except HostError as error:
            troubles.append(str(error))
            continue
        if not facts.trouble:
            return facts
        troubles.append(facts.trouble)
    return EtcdFacts(quota=quota, trouble="; ".join(troubles) or "none of its hosts answers")


async def _look_from(
    host: str, addresses: Sequence[str], access: Mapping[str, Any], connection: Connection, quota: int
) -> EtcdFacts:
    port = int(access["port"])
    own = f"--endpoints=https://127.0.0.1:{port}"
    every = f"--endpoints={','.join(f'https://{_bracketed(address)}:{port}' for address in addresses)}"
    listed = await connection.run(etcdctl(access, ["member", "list", own, "--write-out=json"]), timeout=30)
    # A member that is silent costs the time of one command; what the others say is printed all the same.
    wait = 30 + 8 * len(addresses)
    status = await connection.run(etcdctl(access, ["endpoint", "status", every, "--write-out=json"]), timeout=wait)
    alarms = await connection.run(etcdctl(access, ["alarm", "list", own, "--write-out=json"]), timeout=30)
    try:
        members = members_from(listed.stdout, status.stdout, alarms.stdout)
    except ValueError:
        return EtcdFacts(trouble=f"{host}: etcdctl cannot list the members ({_complaint(listed.stderr)})")
    return EtcdFacts(host, members, quota)


def members_from(listed: bytes, status: bytes, alarms: bytes) -> tuple[Member, ...]:
    """Return the members from the JSON of `member list`, `endpoint status` and `alarm list` of etcdctl 3.4 to 3.6.

    Status and alarms may be missing or cut off; raises ValueError where the list of members is.
    """
    document = _json(listed)
    if not isinstance(document, dict) or not isinstance(document.get("members"), list):
        raise ValueError("there is no list of members")
    statuses = dict(filter(None, map(_status, _entries(_json(status)))))
    raised: dict[str, list[str]] = {}
    found = _json(alarms)
    for alarm in _entries(found.get("alarms") if isinstance(found, dict) else None):
        kind = alarm.get("alarm", 0)
        name = kind if isinstance(kind, str) else _ALARMS.get(int(kind), f"alarm {kind}")
        raised.setdefault(_id(alarm.get("memberID", 0)), []).append(name)
    members = []
    for entry in _entries(document["members"]):
        id_ = _id(entry.get("ID", 0))
        peers = entry.get("peerURLs") or [""]
        members.append(
            Member(
                id=id_,
                name=printable(str(entry.get("name", ""))),
                address=_host_of(str(peers[0])),
                learner=bool(entry.get("isLearner", False)),
                status=statuses.get(id_),
                alarms=tuple(sorted(raised.get(id_, ()))),
            )
        )
    return tuple(sorted(members, key=lambda member: (member.name, member.id)))


def quota_of(unit: bytes) -> int:
    """Return how many bytes a unit file of etcd lets it fill."""
    found = _QUOTA.search(unit)
    return int(found.group(1)) or DEFAULT_QUOTA if found else DEFAULT_QUOTA


def _status(entry: Mapping[str, Any]) -> tuple[str, MemberStatus] | None:
    status = entry.get("Status") or entry.get("status")
    if not isinstance(status, Mapping):
        return None
    header = status.get("header") or {}
    leader = status.get("leader", 0)
    return _id(header.get("member_id", 0)), MemberStatus(
        version=printable(str(status.get("version", ""))),
        db_size=int(status.get("dbSize", 0)),
        db_in_use=int(status.get("dbSizeInUse", 0)),
        leader=_id(leader) if int(leader) else "",
        raft_term=int(status.get("raftTerm", 0)),
        raft_index=int(status.get("raftIndex", 0)),
        raft_applied=int(status.get("raftAppliedIndex", 0)),
        errors=tuple(printable(str(error)) for error in status.get("errors") or ()),
    )


def _entries(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _json(data: bytes) -> Any:
    try:
        return json.loads(data or b"null")
    except ValueError:
        return None


def _id(number: Any) -> str:
    # Protobuf leaves out a zero, and some printers write numbers as text.
    return f"{int(number):x}"


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _complaint(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "backslashreplace").splitlines() if line.strip()]
    # etcdctl writes its own log around the sentence that says what is wrong.
    said = [line for line in lines if not line.startswith("{")]
    return printable((said or lines or ["it said nothing"])[-1])[:300]
