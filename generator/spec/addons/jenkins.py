"""Jenkins: the controller of the delivery chain, its agents, image builds and releases (docs/ci/jenkins.md)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from generator.spec.addons.base import AddonSection
from generator.spec.addons.ingress_controllers import SecretName
from generator.spec.addons.storage import ObjectName, StorageSpec
from generator.spec.scalars import DnsLabel, PinnedImage, RelativePath, complaint, matching
from generator.spec.scalars_network import Endpoint, Mirror, Port, RegistryPrefix, Url
from generator.spec.schema_base import Section

EnvironmentName = Literal["dev", "qa", "pre", "prd"]
Language = Literal["go", "java", "php", "nodejs", "python"]
Severity = Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]

_REPOSITORY = re.compile(
    r"(https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/|ssh://[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+(:[0-9]{1,5})?/)[A-Za-z0-9._~/+-]+"
)
_LAST_PORT = 65535


def _git(text: str) -> str:
    found = _REPOSITORY.fullmatch(text)
    port = found and (found[2] or found[3])
    if found and (not port or 0 < int(port[1:]) <= _LAST_PORT):
        return text
    # The URL is not repeated: there may be a token in it.
    raise complaint(
        "is no git URL without password", "write https://HOST/PATH or ssh://USER@HOST/PATH, and name git.secret"
    )


_reference = matching(
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,199}"), "is no branch, tag or commit", "write it like main or v1.2.0"
)
_credential = matching(
    re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?"),
    "is no id of a credential",
    "write lower-case letters, digits and hyphens; its value is sealed as addons/jenkins-<id>",
)
# sshd(8): names, kind and key; a port stands behind a name in brackets.
_host_key = matching(
    re.compile(
        r"(\[[A-Za-z0-9.:-]+\]:[0-9]+|[A-Za-z0-9.:-]+)(,(\[[A-Za-z0-9.:-]+\]:[0-9]+|[A-Za-z0-9.:-]+))* "
        r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{60,}={0,2}"
    ),
    "is no line of known_hosts",
    "write HOST KIND KEY, as ssh-keyscan shows it, and compare it with what the server's keeper says",
)
_argument = matching(re.compile(r"-[!-~]+"), "is no argument of java", "write one for each entry, like -Xmx3g")
# https://go.dev/ref/mod#environment-variables: off, or a name with its key, and where it is.
_checksums = matching(
    re.compile(r"off|[A-Za-z0-9.-]+(\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2})?( https?://[A-Za-z0-9.:/_~-]+)?"),
    "is no checksum database of Go",
    "write off, NAME, NAME+KEY or NAME+KEY URL, as GOSUMDB has it",
)
_modules = matching(
    re.compile(r"[A-Za-z0-9._~*?/-]+(,[A-Za-z0-9._~*?/-]+)*"),
    "is no list of Go modules",
    "write patterns with commas between them, like git.example.net/*,example.net/tools",
)
_user = matching(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}"), "is no name of a user", "write letters and digits")

GitRepository = Annotated[str, AfterValidator(_git)]
Reference = Annotated[str, AfterValidator(_reference)]
CredentialName = Annotated[str, AfterValidator(_credential)]
HostKey = Annotated[str, AfterValidator(_host_key)]
JavaArgument = Annotated[str, AfterValidator(_argument)]
GoSumDb = Annotated[str, AfterValidator(_checksums)]
GoModules = Annotated[str, AfterValidator(_modules)]
JenkinsUser = Annotated[str, AfterValidator(_user)]


class JenkinsPorts(Section):
    """Ports of the controller, in its pod as in its Service."""

    http: Port = Field(8080, description="Port of the pages.")
    agent: Port = Field(50000, description="Port to which agents connect.")


class JenkinsIngress(Section):
    """How people reach the pages; the name is that of `url`."""

    class_name: DnsLabel | None = Field(None, description="IngressClass; without, the cluster's default.")
    tls_secret: ObjectName | None = Field(
        "jenkins-tls",
        description="Secret of the namespace jenkins with the certificate, which you make; null for plain HTTP.",
    )
    namespace: DnsLabel = Field(
        examples=["traefik"], description="Namespace of the ingress controller's pods, which alone may enter."
    )


class JenkinsEnvironment(Section):
    """Where releases to one environment go."""

    namespace: DnsLabel = Field(examples=["apps-dev"], description="Its namespace, which Slipway makes.")


class JenkinsPush(Section):
    """The registry of the images that are built."""

    registry: RegistryPrefix | None = Field(
        None, examples=["registry.example.net/apps"], description="Registry with its path, to which images are pushed."
    )
    secret: CredentialName = Field(
        "registry-push", description="Credential with a config.json that may push, sealed as addons/jenkins-<id>."
    )
    pull_secret: CredentialName | None = Field(
        None, description="Secret in each environment's namespace for pulling, sealed as addons/jenkins-<id>."
    )


class JenkinsScanner(Section):
    """The gate against known vulnerabilities."""

    program: Literal["trivy", "grype"] = Field("trivy", description="The scanner, a program of the agent slipway.")
    severity: list[Severity] = Field(["HIGH", "CRITICAL"], min_length=1, description="What stops a run.")
    database: Mirror | None = Field(
        None,
        examples=["registry.example.net/mirror/trivy-db"],
        description="Mirror of its database, for an air gap: a repository for trivy, for grype the URL of the listing.",
    )
    java_database: RegistryPrefix | None = Field(
        None, description="Mirror of trivy's index of Java archives, which images with .jar files want beside that."
    )


class JenkinsSources(Section):
    """Where the languages' packages come from; each language's own place unless said. No password stands here."""

    maven: Url | None = Field(None, description="Mirror of all Maven repositories, in settings.xml.")
    npm: Url | None = Field(None, description="Registry of npm.")
    go: Url | None = Field(None, description="GOPROXY.")
    go_sum_db: GoSumDb | None = Field(
        None,
        examples=["off"],
        description="GOSUMDB; Go's own database is asked unless said, by way of the mirror where that passes it on.",
    )
    go_no_sum_db: GoModules | None = Field(
        None, examples=["git.example.net/*"], description="GONOSUMDB: modules of which no database knows a checksum."
    )
    pip: Url | None = Field(None, description="Index of pip.")
    pip_extra: Url | None = Field(None, description="Index that pip asks beside that one, PIP_EXTRA_INDEX_URL.")
    pip_trusted_host: Endpoint | None = Field(
        None, description="Host whose certificate pip does not check, PIP_TRUSTED_HOST; for plain HTTP too."
    )
    composer: Url | None = Field(None, description="Repository of Composer in place of its own.")


class JenkinsGit(Section):
    """The credential with which Jenkins fetches library, configuration and the source of projects."""

    secret: CredentialName | None = Field(
        None, description="Its id, sealed as addons/jenkins-<id>; none where everybody may fetch."
    )
    kind: Literal["ssh", "password"] = Field("ssh", description="A private key, or a password or token.")
    user: JenkinsUser = Field("git", description="The user it belongs to.")
    known_hosts: list[HostKey] = Field(
        [],
        examples=[["git.example.net ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGfx1Y1T3DfLrPn1ZyOq2j0ZGJPsZyqpV7y8XbF0q3mN"]],
        description="Host keys of git servers by SSH, a line of known_hosts each; any other server is refused.",
    )


class JenkinsRepository(Section):
    """A repository that the pipeline is made of."""

    url: GitRepository | None = Field(None, examples=["https://git.example.net/ops.git"], description="Its address.")
    ref: Reference = Field("main", description="Branch, tag or commit.")


class JenkinsMail(Section):
    """The server that takes notifications by mail."""

    host: Endpoint | None = Field(None, description="Name or address; nothing is mailed without.")
    port: Port = Field(25, description="Its port.")
    sender: str = Field("", alias="from", description="Address of the sender.")


def _four() -> dict[EnvironmentName, JenkinsEnvironment]:
    names: tuple[EnvironmentName, ...] = ("dev", "qa", "pre", "prd")
    return {name: JenkinsEnvironment(namespace=f"apps-{name}") for name in names}


class JenkinsSection(AddonSection):
    """Jenkins with agents for java, php, go, nodejs and python, rootless image builds and releases by helm."""

    enabled: bool = Field(False, description="Whether Jenkins runs.")
    url: Url | None = Field(None, description="Address at which people reach it; that of its Service unless said.")
    ingress: JenkinsIngress | None = Field(
        None, description="Ingress in front of it; without, `kubectl port-forward` leads in."
    )
    ports: JenkinsPorts = Field(JenkinsPorts(), description="Its ports.")
    node_selector: dict[str, str] = Field(
        {"app": "jenkins"}, description="Labels of the nodes on which controller and agents run."
    )
    jvm_args: list[JavaArgument] = Field(["-Xms1g", "-Xmx3g"], description="Arguments of the controller's java.")
    storage: StorageSpec = Field(StorageSpec(size="50Gi"), description="The controller's home, which nobody shares.")
    caches: StorageSpec | None = Field(
        None, description="A volume that all agents share for package caches and hand-over; ReadWriteMany."
    )
    admin_user: JenkinsUser = Field("admin", description="User who may do everything.")
    admin_secret: SecretName = Field("addons/jenkins-admin", description="Sealed secret with that user's password.")
    update_center: Url | None = Field(
        None, description="Mirror of Jenkins' update centre from which plugins come, for an air gap."
    )
    static_agents: bool = Field(
        False, description="Whether agents run all the time, a StatefulSet each, and not as pods on demand."
    )
    tools_image: PinnedImage | None = Field(
        None,
        description="Image of the agent slipway: slipway, git, scanner, skopeo, helm and the client of the builder.",
    )
    ca_file: RelativePath | None = Field(
        None,
        description="PEM file of the CAs that controller, agents and builder trust as well, relative to cluster.yaml.",
    )
    builder: Literal["buildkit", "buildah"] = Field("buildkit", description="What builds images, without root.")
    push: JenkinsPush = Field(JenkinsPush(), description="Where images go.")
    scanner: JenkinsScanner = Field(JenkinsScanner(), description="The gate.")
    environments: dict[EnvironmentName, JenkinsEnvironment] = Field(
        default_factory=_four, description="The namespace of each environment."
    )
    sources: JenkinsSources = Field(JenkinsSources(), description="Where packages come from.")
    build_secrets: dict[Language, CredentialName] = Field(
        {},
        examples=[{"go": "build-netrc", "nodejs": "build-npmrc"}],
        description="Credential with the file that an image build of a language reads for its package sources, sealed "
        "as addons/jenkins-<id>: netrc, settings.xml, auth.json, npmrc or pip.conf.",
    )
    git: JenkinsGit = Field(JenkinsGit(), description="How repositories are fetched.")
    library: JenkinsRepository = Field(
        JenkinsRepository(), description="The repository with Slipway's shared library, addons/jenkins/library of it."
    )
    configuration: JenkinsRepository = Field(JenkinsRepository(), description="The repository with clusters/.")
    approvers: list[JenkinsUser] = Field(
        [], description="Users and groups who may release to prd; everybody who may build unless said."
    )
    ssh_key_secret: CredentialName | None = Field(
        None, description="Credential with the key for virtual machines; vm-ssh-key where a project needs one."
    )
    known_hosts_secret: CredentialName | None = Field(
        None, description="Credential with their known_hosts; vm-known-hosts where a project needs one."
    )
    mail: JenkinsMail = Field(JenkinsMail(), description="Notifications by mail.")
