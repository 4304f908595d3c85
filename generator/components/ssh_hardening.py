"""What sshd accepts: keys alone, as a drop-in that is proved before it stays.

The file that an apply brings is only what is wanted. A unit of ours checks it on the host (the login has a key, sshd
takes the file, the settings that Slipway needs hold), puts it in place, reloads sshd and sets a timer, which takes it
back unless the apply confirms it over an SSH connection that it makes anew (gate new-connection). So a mistake that
shuts the operator out ends by itself. It comes first among the drop-ins, since sshd keeps the first value that it
meets (sshd_config(5)).

Forwarding, the login and the programs that it runs are left as they are: Slipway works through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.components.host_setting import HostSetting
from generator.components.items import HostFile, HostItem, HostUnit
from generator.components.oneshot import SCRIPTS, script_text
from generator.components.view import View
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text
from generator.spec.layout import ENV_DIR, SSH_CONFIRM_UNIT, STATE_DIR, SYSTEMD_DIR, env_file
from generator.spec.sections_system import Hardening, System

NAME = "ssh-hardening"
PHASE = "ssh"
UNIT = "slipway-ssh-hardening.service"
HOLDING_UNIT = "slipway-ssh-hardening-drop-in.service"
RESTORE_UNIT = "slipway-ssh-hardening-restore.service"
RESTORE_TIMER = "slipway-ssh-hardening-restore.timer"
SCRIPT = f"{SCRIPTS}/slipway-ssh-hardening"
WANTED = f"{ENV_DIR}/sshd.conf"
OWN_ENV = env_file(f"{NAME}-host")
# Longer than the gate that confirms waits (fleet/host_gates.py).
PROVING_SECONDS = 90


def _used(system: System) -> bool:
    return system.ssh.harden


def _everywhere(view: View) -> Iterator[HostItem]:
    reloads = (UNIT,)
    yield HostFile(WANTED, _config(view.system.ssh), NAME, PHASE, reloads=reloads)
    yield HostFile(env_file(NAME), f"SLIPWAY_SSH_LOGIN={view.cluster.ssh.user}\n", NAME, PHASE, reloads=reloads)
    yield HostFile(SCRIPT, script_text("ssh-hardening.sh"), NAME, PHASE, mode=0o755, reloads=reloads)
    for name, unit in _units().items():
        yield HostFile(f"{SYSTEMD_DIR}/{name}", unit_text(unit), NAME, PHASE, reloads=reloads)
    yield HostUnit(UNIT, NAME, PHASE)
    yield HostUnit(HOLDING_UNIT, NAME, PHASE)


def _of_host(view: View) -> Iterator[HostItem]:
    """Yield the login of a host that is entered by another one than the cluster's."""
    assert view.host is not None
    if view.host.ssh.user != view.cluster.ssh.user:
        yield HostFile(OWN_ENV, f"SLIPWAY_SSH_LOGIN={view.host.ssh.user}\n", NAME, PHASE, reloads=(UNIT,))


def _config(hardening: Hardening) -> str:
    lines = [
        "# Keys alone. Forwarding and everything else is left as it is.",
        "PubkeyAuthentication yes",
        "PasswordAuthentication no",
        "# The name before OpenSSH 8.7, which later ones take too.",
        "ChallengeResponseAuthentication no",
        "PermitEmptyPasswords no",
        "PermitRootLogin prohibit-password",
        "# A name server that does not answer must not hold up a login.",
        "UseDNS no",
        f"ClientAliveInterval {hardening.client_alive_interval}",
        f"ClientAliveCountMax {hardening.client_alive_count_max}",
    ]
    return "\n".join(lines) + "\n"


def _units() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    # Neither is stopped at shutdown, so the drop-in stays over a reboot.
    early = {"DefaultDependencies": False, "After": "local-fs.target"}
    return {
        UNIT: {
            "Unit": {
                "Description": "What sshd accepts",
                "Documentation": "man:sshd_config(5)",
                **early,
            },
            "Service": {
                **_service("load"),
                "RemainAfterExit": True,
                "ExecReload": f"/bin/sh {SCRIPT} load",
            },
            "Install": {"WantedBy": "multi-user.target"},
        },
        # The one above is down where its settings were refused or taken back, and then those before are still there: so
        # it is not by its stop that they go.
        HOLDING_UNIT: {
            "Unit": {"Description": "What sshd accepts goes when this stops", **early},
            "Service": {**_service("remove", key="ExecStop"), "RemainAfterExit": True},
            "Install": {"WantedBy": "multi-user.target"},
        },
        SSH_CONFIRM_UNIT: {
            "Unit": {"Description": "The new settings of sshd let the operator in", "Requisite": UNIT, "After": UNIT},
            "Service": _service("confirm"),
        },
        RESTORE_UNIT: {
            "Unit": {
                "Description": "The settings of sshd before the last change",
                # The unit of the new settings stops first, so that status and the next apply see that they are gone.
                "Conflicts": UNIT,
                "After": UNIT,
            },
            "Service": _service("restore"),
        },
        RESTORE_TIMER: {
            "Unit": {"Description": "The time in which new settings of sshd are to be confirmed"},
            "Timer": {
                "OnActiveSec": f"{PROVING_SECONDS}s",
                "AccuracySec": "1s",
                "RemainAfterElapse": False,
                "Unit": RESTORE_UNIT,
            },
        },
    }


def _service(verb: str, key: str = "ExecStart") -> dict[str, Any]:
    return {
        "Type": "oneshot",
        "WorkingDirectory": "/",
        "EnvironmentFile": [env_file(NAME), f"-{OWN_ENV}"],
        key: f"/bin/sh {SCRIPT} {verb}",
        **sandbox(writable=("/etc/ssh", STATE_DIR)),
        # It looks whether the login has a key.
        "ProtectHome": "read-only",
        "CapabilityBoundingSet": "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH",
        "RestrictAddressFamilies": "AF_UNIX",
    }


COMPONENT = HostSetting(NAME, _used, everywhere=_everywhere, of_host=_of_host)
