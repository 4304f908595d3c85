"""What a project asks for that its cluster does not have: warnings, since clusters change beside projects."""

from __future__ import annotations

from generator.ci.found import Found
from generator.ci.project import Project
from generator.spec.model import Cluster

_OPEN_LOW_PORTS = (1, 22)
"""From here on a pod may open low ports to who is not root: net.ipv4.ip_unprivileged_port_start is a safe sysctl.

https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
"""


def cluster_warnings(project: Project, cluster: Cluster) -> tuple[str, ...]:
    """Return what a project asks for that its cluster does not have, each with file, line and what to do."""
    found = Found(project.document, ())
    spec, jenkins = project.spec, cluster.addons.jenkins
    if not project.is_vm and spec.run.port < 1024 and cluster.versions.minor < _OPEN_LOW_PORTS:
        found.warn(
            ("run", "port"),
            f"{spec.run.port} is for root alone in Kubernetes {cluster.versions.minor_text}, and the chart refuses it",
            "listen on one from 1024 on; the Service has port 80 all the same",
        )
    if jenkins.enabled and jenkins.mail.host is None:
        for index, one in enumerate(spec.notify):
            if one.kind == "mail":
                found.warn(("notify", index), f"{cluster.name} has no server for mail", "set addons.jenkins.mail.host")
    return tuple(text for _, text in sorted(found.warnings))
