"""What Jenkins asks of the rest of the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.spec.addons.storage import check_claim

if TYPE_CHECKING:
    from generator.spec.addons.jenkins import JenkinsSection
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

PATH = ("addons", "jenkins")
NAMESPACES = frozenset({"jenkins", "jenkins-agents", "jenkins-build"})
"""The namespaces of Jenkins itself."""

_SYSTEM = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_FIRST_FREE_PORT = 1024
# What Jenkins itself calls those who have not logged in, and those who have (hudson.security, ACL and SecurityRealm).
_NOBODY, _EVERYBODY = "anonymous", "authenticated"


def check_jenkins(cluster: Cluster, findings: Findings) -> None:
    """Check that the pipeline has what it cannot do without, and that what is kept is kept apart."""
    section = cluster.addons.jenkins
    if not section.enabled:
        return
    _needed(section, findings)
    _access(section, findings)
    _scanner(section, findings)
    _build_secrets(section, findings)
    _ports(section, findings)
    _namespaces(section, findings)
    _placement(cluster, section, findings)
    check_claim(cluster, findings, (*PATH, "storage"), section.storage)
    if section.caches is not None:
        if "ReadWriteMany" not in section.caches.access_modes:
            what = "agents on several nodes share this volume, which may be mounted by one only"
            findings.fault((*PATH, "caches", "accessModes"), what, "write accessModes: [ReadWriteMany]")
        else:
            check_claim(cluster, findings, (*PATH, "caches"), section.caches)
    if cluster.network.plugin in {"bridge", "flannel"}:
        what = f"{cluster.network.plugin} enforces no NetworkPolicy, so every pod may have images built and ask agents"
        findings.warn(PATH, what, "use network.plugin: calico")


def _needed(section: JenkinsSection, findings: Findings) -> None:
    if section.tools_image is None and _left_out(findings, (*PATH, "toolsImage")):
        what = "the agent slipway has no image, and every run needs it"
        todo = "build one with what docs/ci/jenkins.md lists, push it, and name it here"
        findings.fault((*PATH, "toolsImage"), what, todo)
    for key, one, holds in (
        ("library", section.library, "Slipway's shared library"),
        ("configuration", section.configuration, "clusters/"),
    ):
        if one.url is None and _left_out(findings, (*PATH, key, "url")):
            findings.fault((*PATH, key, "url"), f"is missing: jobs need the repository with {holds}", "write its URL")
    by_ssh = [one.url for one in (section.library, section.configuration) if (one.url or "").startswith("ssh://")]
    if by_ssh and not section.git.known_hosts:
        what = "a repository is fetched by SSH and no host key of its server is known, so Jenkins refuses it"
        findings.warn((*PATH, "git", "knownHosts"), what, "write the server's lines of known_hosts")
    if section.push.registry is None:
        what = "there is no registry to push to, so only projects on virtual machines can be released"
        findings.warn((*PATH, "push", "registry"), what, "name it")
    if section.ingress is not None and section.url is None:
        what = "an Ingress needs the name under which people come"
        findings.fault((*PATH, "ingress"), what, "write url: https://…")
    if section.mail.host is not None and "@" not in section.mail.sender:
        findings.fault((*PATH, "mail", "from"), "a mail needs a sender", "write an address, like ci@example.net")


def _left_out(findings: Findings, path: Path) -> bool:
    """Return whether nothing is written at a path: of a value that is none of its kind enough is said."""
    return findings.document.raw.get(path, "null") in {"", "~", "null"}


def _access(section: JenkinsSection, findings: Findings) -> None:
    access = section.access
    lists: dict[Path, list[str]] = {
        ("access", "administrators"): access.administrators,
        ("access", "builders"): access.builders,
        ("access", "readers"): access.readers,
        ("approvers",): section.approvers,
    }
    for keys, names in lists.items():
        for index, name in enumerate(names):
            path = (*PATH, *keys, index)
            if name == _NOBODY:
                what = f"{name} is everybody who has not logged in"
                findings.fault(path, what, f"name users or groups; {_EVERYBODY} stands for all who have")
            elif name == _EVERYBODY and names is access.administrators:
                what = "everybody who logs in would have all credentials, and release to prd"
                findings.fault(path, what, "name users or groups")
    accounts = {section.admin_user.lower(): "is adminUser, whose password is adminSecret"}
    accounts |= dict.fromkeys((_NOBODY, _EVERYBODY), "is no user's name: it stands for many")
    if section.admin_user.lower() in {_NOBODY, _EVERYBODY}:
        what = f"{section.admin_user} is no user's name: it stands for many"
        findings.fault((*PATH, "adminUser"), what, "take another")
    for index, name in enumerate(section.users):
        if name in accounts:
            findings.fault((*PATH, "users", index), f"{name} {accounts[name]}", "take another name")


def _scanner(section: JenkinsSection, findings: Findings) -> None:
    path, scanner = (*PATH, "scanner"), section.scanner
    is_url = "://" in (scanner.database or "")
    if scanner.program == "grype":
        if scanner.database is not None and not is_url:
            what = f"grype fetches its database from a URL, and {scanner.database} is a place in a registry"
            todo = "write where the mirror has it, like https://mirror.example.net/grype/databases"
            findings.fault((*path, "database"), what, todo)
        if scanner.java_database is not None:
            what = "is trivy's: grype has one database for all languages"
            findings.fault((*path, "javaDatabase"), what, "take it out, or write program: trivy")
    elif is_url:
        what = f"trivy fetches its database from a registry, and {scanner.database} is a URL"
        todo = "write the repository without a scheme, like registry.example.net/mirror/trivy-db"
        findings.fault((*path, "database"), what, todo)


def _build_secrets(section: JenkinsSection, findings: Findings) -> None:
    others = {
        section.push.secret: "push.secret, whose login no build may see",
        section.ssh_key_secret or "vm-ssh-key": "the key for virtual machines",
        **({section.git.secret: "git.secret"} if section.git.secret else {}),
    }
    for language, name in section.build_secrets.items():
        if name in others:
            what = f"{name} is the credential of {others[name]}"
            findings.fault((*PATH, "buildSecrets", language), what, "use an id of its own")


def _ports(section: JenkinsSection, findings: Findings) -> None:
    ports = section.ports
    if ports.http == ports.agent:
        findings.fault((*PATH, "ports"), f"pages and agents both want {ports.http}", "use two ports")
    for key, port in (("http", ports.http), ("agent", ports.agent)):
        if port < _FIRST_FREE_PORT:
            what = f"{port} is a port for root, which Jenkins is not"
            findings.fault((*PATH, "ports", key), what, "use one from 1024 on; url says which one people see")


def _namespaces(section: JenkinsSection, findings: Findings) -> None:
    owners: dict[str, str] = {}
    for name, one in section.environments.items():
        path = (*PATH, "environments", name, "namespace")
        if one.namespace in NAMESPACES or one.namespace in _SYSTEM:
            findings.fault(path, f"{one.namespace} is not a place for releases", "give the environment its own")
        owner = owners.setdefault(one.namespace, name)
        if owner != name:
            what = f"{one.namespace} is the namespace of {owner} as well, where releases have the same names"
            findings.fault(path, what, "give each environment its own")


def _placement(cluster: Cluster, section: JenkinsSection, findings: Findings) -> None:
    wanted = section.node_selector.items()
    fits = any(
        host.pool.is_node and all(host.node_labels.get(key) == value for key, value in wanted) for host in cluster.nodes
    )
    if not fits:
        labels = ", ".join(f"{key}={value}" for key, value in wanted)
        what = f"no node has the labels {labels}, so nothing of Jenkins starts"
        findings.warn((*PATH, "nodeSelector"), what, "write them into labels of a pool, or write other ones here")
