"""The firewall of a host: the distribution's own switched off, and with `managed` a rule set of ours.

A new rule set is proved before it is believed: the host loads it with a timer behind it that brings the last confirmed
one back, and an apply confirms it over an SSH connection that it makes anew (gate new-connection). So a mistake that
shuts the operator out ends by itself, also where the operator's machine or its network died in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

from generator.components import firewall_rules as rules
from generator.components.items import HostFile, HostItem, HostPackage, HostUnit
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.units import unit_text
from generator.spec.layout import FIREWALL_CONFIRM_UNIT, PROGRAM_DIR, STATE_DIR, SYSTEMD_DIR
from generator.spec.model import Cluster, Pool

NAME = "firewall"
PHASE = "firewall"
UNIT = "slipway-firewall.service"
HOLDING_UNIT = "slipway-firewall-rules.service"
RESTORE_UNIT = "slipway-firewall-restore.service"
RESTORE_TIMER = "slipway-firewall-restore.timer"
OFF_UNIT = "slipway-firewall-off.service"
SCRIPT = f"{PROGRAM_DIR}/firewall"
OFF_SCRIPT = f"{PROGRAM_DIR}/firewall-off"
NFT = "/usr/sbin/nft"

# Longer than the gate that confirms waits (fleet/host_gates.py), so that an apply that is slow is not overtaken.
PROVING_SECONDS = 90


@dataclass(frozen=True, slots=True)
class FirewallComponent:
    """Which ports of a host can be reached: what ports.yaml names, by whom it names, and nothing else."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "the rules are those of ports.yaml; `nft list table inet slipway` shows them on a host",
        f"rules that no apply confirms are taken back by the host itself after {PROVING_SECONDS} s",
        "what a host passes on for its pods is not filtered here: that is for NetworkPolicy to say",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether the spec lets us touch firewalls at all."""
        return cluster.firewall.mode != "keep"

    def settings(self, view: View) -> Settings:
        """Return nothing of its own: the fields `firewall` and `listeners` of a cluster say it all."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield what switches others off, and with `managed` the frame of the rules, the sets and the units."""
        yield HostFile(OFF_SCRIPT, _script("firewall-off.sh"), NAME, "host-base", mode=0o755)
        yield HostFile(f"{SYSTEMD_DIR}/{OFF_UNIT}", unit_text(_off_unit()), NAME, "host-base")
        yield HostUnit(OFF_UNIT, NAME, "host-base")
        if view.cluster.firewall.mode != "managed":
            return
        reloads = (UNIT,)
        yield HostFile(rules.RULES, rules.rules_text(view.cluster), NAME, PHASE, mode=0o600, reloads=reloads)
        yield HostFile(rules.ADDRESSES, rules.addresses_text(view.cluster), NAME, PHASE, mode=0o600, reloads=reloads)
        if rules.uses_nodes(view.cluster):
            yield HostFile(rules.NODES, rules.nodes_text(view.cluster), NAME, PHASE, mode=0o600, reloads=reloads)
        yield HostFile(SCRIPT, _script("firewall.sh"), NAME, PHASE, mode=0o755)
        for name, unit in _units().items():
            yield HostFile(f"{SYSTEMD_DIR}/{name}", unit_text(unit), NAME, PHASE, reloads=reloads)
        yield HostUnit(UNIT, NAME, PHASE)
        yield HostUnit(HOLDING_UNIT, NAME, PHASE)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the ports of the pool's roles, and the package that brings nft."""
        assert view.pool is not None
        if view.cluster.firewall.mode != "managed":
            return
        text = rules.ports_text(view.cluster, view.pool)
        yield HostFile(rules.PORTS, text, NAME, PHASE, mode=0o600, reloads=(UNIT,))
        # Nothing reloads for them: then what left the spec would be shut at the beginning of a run and not at its end.
        for path, way in rules.ways(view.cluster, view.pool).items():
            yield HostFile(path, way, NAME, PHASE, mode=0o600)
        # On nodes of this mode kube-proxy's own needs have brought it.
        if not (view.pool.is_node and view.cluster.network.proxy_mode == "nftables"):
            yield HostPackage("nftables", NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield what one host opens beside its pool."""
        assert view.host is not None
        if view.cluster.firewall.mode == "managed" and (own := rules.own_text(view.cluster, view.host)):
            yield HostFile(rules.OWN, own, NAME, PHASE, mode=0o600, reloads=(UNIT,))


def _script(name: str) -> str:
    return (resources.files("generator.components") / name).read_text(encoding="utf-8")


def _units() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    early = {
        # It comes before the network, which some hosts (cloud-init of Ubuntu) wait for before sysinit.target.
        "DefaultDependencies": False,
        "RequiresMountsFor": f"{STATE_DIR} {PROGRAM_DIR}",
    }
    return {
        # It is not stopped at shutdown, so there is no moment without it.
        UNIT: {
            "Unit": {
                "Description": "The ports of this host that can be reached",
                "Documentation": "man:nft(8)",
                **early,
                "After": "systemd-modules-load.service",
                "Wants": "network-pre.target",
                "Before": "network-pre.target",
            },
            "Service": {
                "Type": "oneshot",
                "RemainAfterExit": True,
                "RuntimeDirectory": "slipway-firewall",
                "RuntimeDirectoryPreserve": True,
                "ExecStartPre": f"{NFT} -c -f {rules.RULES}",
                "ExecStart": f"/bin/sh {SCRIPT} load",
                "ExecReload": [f"{NFT} -c -f {rules.RULES}", f"/bin/sh {SCRIPT} load"],
                "ExecStop": f"/bin/sh {SCRIPT} remove",
                **_sandbox(),
            },
            "Install": {"WantedBy": "sysinit.target"},
        },
        # The one above is down where its rules were taken back, and those confirmed before are loaded then: it is not
        # by its stop alone that they go.
        HOLDING_UNIT: {
            "Unit": {"Description": "The rules of this host go when this stops", **early},
            "Service": {
                "Type": "oneshot",
                "RemainAfterExit": True,
                "ExecStop": f"/bin/sh {SCRIPT} remove",
                **_sandbox(),
            },
            "Install": {"WantedBy": "sysinit.target"},
        },
        FIREWALL_CONFIRM_UNIT: {
            "Unit": {
                "Description": "The rules of this host let the operator in",
                "Documentation": "man:nft(8)",
                "Requisite": UNIT,
                "After": UNIT,
            },
            "Service": {"Type": "oneshot", "ExecStart": f"/bin/sh {SCRIPT} confirm", **_sandbox()},
        },
        RESTORE_UNIT: {
            "Unit": {
                "Description": "The rules of this host that were confirmed last",
                "Documentation": "man:nft(8)",
                # The unit of the new rules is stopped first, so that status and the next apply see that they are gone.
                "Conflicts": UNIT,
                "After": UNIT,
            },
            "Service": {"Type": "oneshot", "ExecStart": f"/bin/sh {SCRIPT} restore", **_sandbox()},
        },
        RESTORE_TIMER: {
            "Unit": {"Description": "The time in which new rules are to be confirmed"},
            "Timer": {
                "OnActiveSec": f"{PROVING_SECONDS}s",
                "AccuracySec": "1s",
                "RemainAfterElapse": False,
                "Unit": RESTORE_UNIT,
            },
        },
    }


def _off_unit() -> Mapping[str, Mapping[str, Any]]:
    return {
        "Unit": {
            "Description": "No firewall service of the distribution",
            "Documentation": "man:systemctl(1)",
        },
        "Service": {
            "Type": "oneshot",
            "RemainAfterExit": True,
            "WorkingDirectory": "/",
            "ExecStart": f"/bin/sh {OFF_SCRIPT}",
            # It takes tables away by name, in the network of the host.
            "CapabilityBoundingSet": "CAP_NET_ADMIN",
            "NoNewPrivileges": True,
            "ProtectHome": True,
            "PrivateTmp": True,
            "ProtectKernelTunables": True,
            "ProtectKernelModules": True,
            "RestrictAddressFamilies": "AF_UNIX AF_NETLINK",
            "RestrictNamespaces": True,
            "LockPersonality": True,
            "RestrictRealtime": True,
            "SystemCallArchitectures": "native",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


def _sandbox() -> Mapping[str, Any]:
    """Return what locks the program into its work. PrivateTmp is missing: it would order the unit behind /tmp."""
    return {
        "WorkingDirectory": "/",
        "UMask": "0077",
        "CapabilityBoundingSet": "CAP_NET_ADMIN",
        "NoNewPrivileges": True,
        "ProtectSystem": "strict",
        "ReadWritePaths": f"{STATE_DIR} -/run/slipway-firewall",
        "ProtectHome": True,
        "ProtectHostname": True,
        "ProtectClock": True,
        "ProtectKernelTunables": True,
        "ProtectKernelLogs": True,
        "ProtectControlGroups": True,
        "RestrictAddressFamilies": "AF_UNIX AF_NETLINK",
        "RestrictNamespaces": True,
        "RestrictRealtime": True,
        "RestrictSUIDSGID": True,
        "LockPersonality": True,
        "MemoryDenyWriteExecute": True,
        "SystemCallArchitectures": "native",
    }


COMPONENT = FirewallComponent()
