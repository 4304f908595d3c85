"""The root file system of a bare host: Debian 12 with sshd, made once and copied for each host.

Nothing of Kubernetes, etcd or containerd is in it; those come through Slipway like on any host.
Services that Debian enables by itself (nginx) are off, sshd is on. cloud-init is there and off: a test of user-data
takes /etc/cloud/cloud-init.disabled away and puts a seed where NoCloud looks for it.

Two units in it make a container behave like a machine of its own:

- `lab-machine.service` runs before everything else. It makes the cgroup controllers writable and
  mounts shared, as on a real machine, and gives the host private sysctls: the kernel is shared,
  and what a kubelet or sysctl.d writes under vm, kernel, fs and so on would change the machine
  for everyone. So each tree of /proc/sys but net (which belongs to the network namespace) is
  copied into regular files on a tmpfs and bound over the real one. Writes succeed and read back,
  and never leave the host. /proc/sys beneath it stays read-only.
- A drop-in of `systemd-sysctl.service` cuts those files to their first line after each run:
  systemd writes without truncating, which is right for the kernel's files and leaves the tail of
  a longer old value in a regular one.
"""

import shutil
from pathlib import Path

from lab.cache import entry_path, made_whole
from lab.command import run
from lab.debian import KEYRING, LAB_PACKAGES, base_repository, install
from lab.progress import stage

_BASE = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "iproute2",
    "procps",
    "kmod",
    "sudo",
    "ca-certificates",
    "curl",
    "openssl",
    "tar",
    "gzip",
)
_PACKAGES = (
    "bash-completion",
    "chrony",
    "cloud-init",
    "conntrack",
    "ebtables",
    "ethtool",
    "haproxy",
    "ipset",
    "iptables",
    "iputils-ping",
    "keepalived",
    "libnginx-mod-stream",
    "libseccomp2",
    "nftables",
    "nginx-light",
    "socat",
)
_SERVICES_OFF = ("nginx", "haproxy", "keepalived", "chrony")
_UNITS_MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
)
"""Units that would touch what the host shares with the machine, or reach for the network."""

_MACHINE_SCRIPT = """\
#!/bin/sh
# Turns a container into a machine of its own, once at boot. See lab/rootfs.py.
set -eu
mount --make-rshared /
for hierarchy in /sys/fs/cgroup/*/; do
    mount -o remount,bind,rw "$hierarchy" 2>/dev/null || true
done
private=/run/lab-sysctl
mkdir -p "$private"
for tree in /proc/sys/*; do
    name=${tree##*/}
    [ "$name" != net ] || continue
    find "$tree" -xdev -type d | while read -r directory; do
        mkdir -p "$private/${directory#/proc/sys/}"
    done
    find "$tree" -xdev -type f | while read -r entry; do
        : > "$private/${entry#/proc/sys/}"
    done
    # One big read for each entry: the kernel gives a number whole at the first read or not at all.
    grep -rs . "$tree" | while IFS= read -r line; do
        entry=${line%%:*}
        printf '%s\\n' "${line#*:}" >> "$private/${entry#/proc/sys/}"
    done
done
mount --rbind /proc/sys/kernel/random "$private/kernel/random"
for tree in "$private"/*; do
    mount --rbind "$tree" "/proc/sys/${tree##*/}"
done
"""
_FIRST_LINES_SCRIPT = """\
#!/bin/sh
# Cuts private sysctl files to their first line. See lab/rootfs.py.
find /run/lab-sysctl -xdev -type f -size +0 | while read -r entry; do
    IFS= read -r value < "$entry" && printf '%s\\n' "$value" > "$entry"
done
exit 0
"""
_MACHINE_UNIT = """\
[Unit]
Description=Cgroups, mounts and sysctls of a lab host
DefaultDependencies=no
Before=sysinit.target systemd-sysctl.service systemd-journald.service local-fs-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/lab/machine

[Install]
WantedBy=sysinit.target
"""
_SYSCTL_DROP_IN = """\
[Unit]
After=lab-machine.service

[Service]
ExecStartPost=/usr/lib/lab/first-lines
"""
_MANAGER_CONFIG = """\
# A pod's first process that knows no SIGTERM holds the end of each shutdown for as long; the default is 90 s.
[Manager]
DefaultTimeoutStopSec=15s
"""
_SSHD_CONFIG = """\
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxStartups 100:30:200
"""
_CLOUD_CONFIG = """\
# A lab host has its network and its host keys before it boots, and no locales.
datasource_list: [NoCloud]
network: {config: disabled}
ssh_deletekeys: false
locale: false
"""
_FILES = {
    "etc/cloud/cloud-init.disabled": ("", 0o644),
    "etc/cloud/cloud.cfg.d/90_lab.cfg": (_CLOUD_CONFIG, 0o644),
    "usr/lib/lab/machine": (_MACHINE_SCRIPT, 0o755),
    "usr/lib/lab/first-lines": (_FIRST_LINES_SCRIPT, 0o755),
    "etc/systemd/system/lab-machine.service": (_MACHINE_UNIT, 0o644),
    "etc/systemd/system/systemd-sysctl.service.d/lab.conf": (_SYSCTL_DROP_IN, 0o644),
    "etc/systemd/system.conf.d/lab.conf": (_MANAGER_CONFIG, 0o644),
    "etc/ssh/sshd_config.d/lab.conf": (_SSHD_CONFIG, 0o644),
    "etc/sudoers.d/ops": ("ops ALL=(ALL) NOPASSWD: ALL\n", 0o440),
}


def base_path() -> Path:
    """Return the directory of the pristine root file system, whether or not it exists yet."""
    recipe = (_BASE, _PACKAGES, _SERVICES_OFF, _UNITS_MASKED, _FILES)
    return entry_path("rootfs", recipe)


def build() -> Path:
    """Make the pristine root file system unless the cache has it; return its directory."""
    ready = base_path()
    if ready.exists():
        return ready
    install(LAB_PACKAGES)
    with stage("making the root file system of a host"), made_whole(ready) as root:
        _bootstrap(root)
        _add_packages(root)
        for name, (text, mode) in _FILES.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(mode)
        _configure(root)
        _forget_the_build(root)
    return ready


def _bootstrap(root: Path) -> None:
    """Install the base system from the machine's own Debian mirror."""
    repository = base_repository()
    run(
        [
            "debootstrap",
            "--variant=minbase",
            f"--keyring={KEYRING}",
            f"--include={','.join(_BASE)}",
            repository.suite,
            root,
            repository.uri,
        ]
    )


def _add_packages(root: Path) -> None:
    """Install the other packages with apt, which resolves what debootstrap cannot."""
    no_start = root / "usr/sbin/policy-rc.d"
    no_start.write_text("#!/bin/sh\nexit 101\n")
    no_start.chmod(0o755)
    apt = ["chroot", str(root), "apt-get", "-q", "-y", "--no-install-recommends"]
    run([*apt, "install", *_PACKAGES], env={"DEBIAN_FRONTEND": "noninteractive"})
    run([*apt, "clean"])
    no_start.unlink()


def _configure(root: Path) -> None:
    """Switch services on and off and add the user that becomes root through sudo."""
    systemctl = ["systemctl", f"--root={root}"]
    run([*systemctl, "enable", "lab-machine.service", "ssh.service"])
    run([*systemctl, "mask", *_UNITS_MASKED])
    for service in _SERVICES_OFF:
        run([*systemctl, "disable", service])
    run([*systemctl, "set-default", "multi-user.target"])
    run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "ops"])


def _forget_the_build(root: Path) -> None:
    """Remove what must differ between hosts or belongs to the machine that built the tree."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in ("etc/machine-id", "etc/hostname", "etc/resolv.conf", "etc/apt/sources.list"):
        (root / name).unlink(missing_ok=True)
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists").mkdir()
