"""The state of a cluster as one flat table, to compare two ways that led to it: hosts, nodes, members, objects.

What differs between two installations of the same hosts by nature is left out by name: times, inodes, keys that a
host makes for itself, numbers that its system draws.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleet.object_sets import SET_LABEL
from tests.lab.cluster_under_test import LabCluster

Snapshot = Mapping[str, str]

OWN_OF_THE_HOST = (
    "/etc/machine-id",
    "/etc/ssh/ssh_host_*",
    # Users are compared by name; their numbers are drawn, and these files are rewritten with them.
    "/etc/passwd*", "/etc/group*", "/etc/shadow*", "/etc/gshadow*", "/etc/.pwd.lock", "/etc/subuid*", "/etc/subgid*",
    "/etc/.updated", "/etc/ld.so.cache",
)  # fmt: skip

_FILES = r"""
set -u
find /etc /opt /usr/local /run/slipway /run/systemd/system /usr/sbin/policy-rc.d \( @PRUNE@ \) -prune -o \
  -printf 'path\t%p\t%y %m %u %g %l\n' 2>/dev/null
find /etc /opt /usr/local /run/slipway /run/systemd/system \( @PRUNE@ \) -prune -o -type f -print0 2>/dev/null |
  xargs -0 sha256sum | while read -r sum path; do printf 'content\t%s\t%s\n' "$path" "$sum"; done
find / -xdev -name '.*.slipway' -printf 'stray\t%p\tthere\n' 2>/dev/null
# Records without inode and time; the journal of runs and marks of time are of each way.
cd /var/lib/slipway && find . -not -path './journal' -printf 'state\t%P\t%y %m %u %g\n'
cut -f 1-6,9- installed | while IFS=$(printf '\t') read -r key facts; do printf 'record\t%s\t%s\n' "$key" "$facts"; done
while read -r phase digest; do printf 'phase\t%s\t%s\n' "$phase" "$digest"; done <phases
printf 'generation\t-\t%s\n' "$(tr '\n' ' ' <generation)"
printf 'manifest\t-\t%s\n' "$(sha256sum <manifest)"
while IFS=: read -r name _ number _ title home shell; do
  printf 'user\t%s\t%s\n' "$name" "$title $home $shell $(id -nG "$name" | tr ' ' '\n' | sort | tr '\n' ' ')"
done </etc/passwd
cut -f 1-2 installed | while IFS=$(printf '\t') read -r key kind; do
  [ "$kind" = unit ] || continue
  unit=${key#unit:}
  printf 'unit\t%s\t%s\n' "$unit" "$(systemctl show -P LoadState -P ActiveState -P SubState -P UnitFileState \
    -P NeedDaemonReload "$unit" | tr '\n' ' ')"
done
systemctl list-unit-files --no-legend --state=enabled | while read -r unit state _; do
  printf 'enabled\t%s\t%s\n' "$unit" "$state"
done
systemctl list-units --no-legend --plain --state=failed | while read -r unit _; do
  printf 'failed\t%s\tyes\n' "$unit"
done
ss -H -ltn | while read -r _ _ _ address _; do printf 'listens\t%s\tyes\n' "$address"; done
"""


def snapshot(cluster: LabCluster) -> dict[str, str]:
    """Everything about hosts, nodes, members and objects that a bring-up decides; `host: kind: name` → facts."""
    found: dict[str, str] = {}
    prune = " -o ".join(f"-path '{path}'" for path in OWN_OF_THE_HOST)
    for host in (*cluster.control, *cluster.workers):
        for line in cluster.sh(host, _FILES.replace("@PRUNE@", prune)).splitlines():
            kind, name, facts = line.split("\t", 2)
            if not _moves(kind, name):
                # A timer is "running" while what it starts does so, and "waiting" a moment later.
                waits = kind == "unit" and name.endswith((".timer", ".path"))
                found[f"{host}: {kind}: {name}"] = facts.replace(" running ", " waiting ") if waits else facts
    for node in cluster.kubectl_json("get", "nodes")["items"]:
        found.update(_node(node))
    for member in _members(cluster):
        found[f"etcd: member: {member['name']}"] = json.dumps([member["peerURLs"], member.get("clientURLs")])
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings,configmaps"
    ours = cluster.kubectl_json("get", kinds, "--all-namespaces", "-l", SET_LABEL)["items"]
    for one in ours:
        found[f"object: {one['kind']}: {one['metadata']['name']}"] = json.dumps(_lasting(one), sort_keys=True)
    assert ours, "objects of ours carry a label, and none was found"
    tokens = cluster.kubectl_json(
        "get", "secrets", "-n", "kube-system", "--field-selector", "type=bootstrap.kubernetes.io/token"
    )["items"]
    found.update({f"token: {token['metadata']['name']}": "left behind" for token in tokens})
    return found


def differing(first: Snapshot, second: Snapshot) -> list[str]:
    """Each entry in which two states differ, in words."""
    return [
        f"{key}: {first.get(key, 'not there')} | {second.get(key, 'not there')}"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def _moves(kind: str, name: str) -> bool:
    """Whether an entry is no decision of anybody: the random port on which a program of the moment listens."""
    port = name.rpartition(":")[2]
    return kind == "listens" and port.isdigit() and int(port) >= 32768


def _node(node: Mapping[str, Any]) -> dict[str, str]:
    name, spec, status = node["metadata"]["name"], node["spec"], node["status"]
    return {
        f"node: labels: {name}": json.dumps(node["metadata"]["labels"], sort_keys=True),
        f"node: annotations: {name}": json.dumps(node["metadata"].get("annotations"), sort_keys=True),
        f"node: spec: {name}": json.dumps(spec, sort_keys=True),
        f"node: addresses: {name}": json.dumps(status["addresses"]),
        f"node: conditions: {name}": json.dumps(sorted([one["type"], one["status"]] for one in status["conditions"])),
        f"node: versions: {name}": f"{status['nodeInfo']['kubeletVersion']} {status['nodeInfo']['kubeProxyVersion']}",
    }


def _members(cluster: LabCluster) -> list[dict[str, Any]]:
    listed = cluster.sh(
        cluster.control[0],
        "ETCDCTL_API=3 /usr/local/bin/etcdctl --cacert=/etc/etcd/pki/ca.crt"
        " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
        " --endpoints=https://127.0.0.1:2379 member list -w json",
    )
    members: list[dict[str, Any]] = json.loads(listed)["members"]
    return members


def _lasting(one: Mapping[str, Any]) -> dict[str, Any]:
    moving = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink"}
    metadata = {key: value for key, value in one["metadata"].items() if key not in moving}
    return {**one, "metadata": metadata}
