"""What the cluster says of its delivery chain, as far as the pipeline needs it: addons.jenkins of the spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.ci.scanning import STOPPING, severities_of


@dataclass(frozen=True, slots=True)
class Mail:
    """The server that takes mail, and who sends it; without a host nothing is mailed."""

    host: str = ""
    port: int = 25
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the pipeline takes from the cluster; defaults are those of a workspace without a cluster.

    `registry` is where images go, `push_secret` the id of the credential for it, `pull_secret` the
    Secret in the namespaces with which they are pulled ("" for none), `ssh_key` that of the key for virtual
    machines, `known_hosts` that of the file with their host keys. `database` and `java_database` are the mirrors of the
    databases of `scanner`, "" for their own place: repositories of a registry for trivy, a URL for grype, which has no
    second one. The last four are facts of the machine that runs the pipeline: where the chart is, the major version of
    its helm, where packages come from by the names of the variables that say it, and a file with the credentials for
    that, in place of those that `build_secrets` names by language.
    """

    registry: str = ""
    push_secret: str = "registry-push"
    pull_secret: str = ""
    builder: str = "buildkit"
    scanner: str = "trivy"
    severities: tuple[str, ...] = STOPPING
    database: str = ""
    java_database: str = ""
    ssh_key: str = "vm-ssh-key"
    known_hosts: str = "vm-known-hosts"
    namespaces: Mapping[str, str] = field(default_factory=dict)
    build_secrets: Mapping[str, str] = field(default_factory=dict)
    mail: Mail = Mail()
    chart: str = "addons/charts/app"
    helm: int = 4
    sources: Mapping[str, str] = field(default_factory=dict)
    build_secret: str = ""


def settings_from(section: Mapping[str, Any]) -> Settings:
    """Return the settings of a section addons.jenkins, by its YAML names; a key that is not there has its default."""
    plain = Settings()
    push, scanner, mail = (_part(section, key) for key in ("push", "scanner", "mail"))
    severity = scanner.get("severity") or ",".join(plain.severities)
    environments = _part(section, "environments")
    return Settings(
        registry=str(push.get("registry") or "").rstrip("/"),
        push_secret=str(push.get("secret") or plain.push_secret),
        pull_secret=str(push.get("pullSecret") or ""),
        builder=str(section.get("builder") or plain.builder),
        scanner=str(scanner.get("program") or plain.scanner),
        severities=severities_of(severity if isinstance(severity, str) else ",".join(severity)),
        database=str(scanner.get("database") or ""),
        java_database=str(scanner.get("javaDatabase") or ""),
        known_hosts=str(section.get("knownHostsSecret") or plain.known_hosts),
        ssh_key=str(section.get("sshKeySecret") or plain.ssh_key),
        namespaces={
            name: str(one["namespace"])
            for name, one in environments.items()
            if isinstance(one, Mapping) and one.get("namespace")
        },
        build_secrets={language: str(name) for language, name in _part(section, "buildSecrets").items() if name},
        mail=Mail(str(mail.get("host") or ""), int(mail.get("port") or 25), str(mail.get("from") or "")),
    )


def _part(section: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = section.get(key)
    return found if isinstance(found, Mapping) else {}
