"""Where things lie on a host: one table, so that no two components disagree.

Binaries lie in version folders below /opt, links in /usr/local/bin turn to the current one,
configuration lies in /etc/<component> and /etc/kubernetes, Slipway's own state in /var/lib/slipway.
"""

from __future__ import annotations

LINK_DIR = "/usr/local/bin"
SYSTEMD_DIR = "/etc/systemd/system"
SYSUSERS_DIR = "/etc/sysusers.d"
ENV_DIR = "/etc/slipway"
STATE_DIR = "/var/lib/slipway"
PROGRAM_DIR = "/usr/local/lib/slipway"

KUBERNETES_DIR = "/etc/kubernetes"
PKI_DIR = "/etc/kubernetes/pki"
CA_CERT = f"{PKI_DIR}/ca.crt"
SIGNING_CERT = f"{PKI_DIR}/signing.crt"
FRONT_PROXY_CA_CERT = f"{PKI_DIR}/front-proxy-ca.crt"
ETCD_PKI_DIR = "/etc/etcd/pki"
ETCD_BACKUP_DIR = "/etc/etcd-backup"
ETCD_BACKUP_STATE = f"{STATE_DIR}/etcd-backup"
"""Where backups are made, and where it stands which one was the last good one."""
SYSTEM_FOLDERS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr")
"""Folders that belong to the system with all that lies below them: nobody's data goes there."""
ETCD_BACKUP_MOUNT = "/run/etcdbackup"
"""Where an NFS folder is mounted while a backup is made; without a hyphen, which unit names would have to escape."""

_USUAL_BALANCER_PORT = 8443


def apiserver_balancer(port: int) -> str:
    """Return the name of a node's own balancer at a port: of its unit, and of its folders below /etc and /run.

    Another port is another unit, so that kubelets keep the way that they know while the new one comes up beside it.
    """
    return "apiserver-balancer" if port == _USUAL_BALANCER_PORT else f"apiserver-balancer-{port}"


ENDPOINT_BALANCER_DIR = "/etc/endpoint-balancer"
ENDPOINT_HEALTH_SOCKET = "/run/endpoint-balancer/health.sock"
"""Where the balancer of the endpoint says, to its own host alone, whether it is of use."""

CNI_BIN_DIR = "/opt/cni/bin"
CNI_CONF_DIR = "/etc/cni/net.d"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

KUBELET_BOOTSTRAP_KUBECONFIG = "/run/slipway/bootstrap-kubelet.kubeconfig"
ETCD_FORMED_MARK = f"{STATE_DIR}/etcd-formed"

FIREWALL_CONFIRM_UNIT = "slipway-firewall-confirm.service"
"""What an apply starts on a host once new rules of the firewall have let it in again."""
SSH_CONFIRM_UNIT = "slipway-ssh-hardening-confirm.service"
"""Started over a connection that was made after sshd was told to be stricter: the settings let the operator in."""

SERVICE_ACCOUNT_GROUP = "kube-sa"
"""The group of the two users that sign service-account tokens; sa.key, or sa-2.key, is 0440 root:kube-sa."""


def kubelet_client_pem(kubelet_root: str) -> str:
    """Return the path of the kubelet's rotated client certificate and key, below its root folder."""
    return f"{kubelet_root}/pki/kubelet-client-current.pem"


def service_account_files(pair: str) -> tuple[str, str]:
    """Return the paths of a service-account key pair, private and public; a pair keeps its paths for life."""
    return f"{PKI_DIR}/{pair}.key", f"{PKI_DIR}/{pair}.pub"


def binary_dir(component: str, version: str) -> str:
    """Return the version folder of a component's binaries."""
    return f"/opt/{component}/{version}"


def env_file(component: str) -> str:
    """Return the path of the EnvironmentFile that carries the host facts of one component."""
    return f"{ENV_DIR}/{component}.env"
