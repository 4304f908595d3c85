"""What may stand in a project file: its models, and their JSON Schema for editors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from generator.ci.scalars import (
    Branch,
    Cpu,
    CredentialId,
    Day,
    DomainName,
    FixedImage,
    GitUrl,
    MailAddress,
    Memory,
    NamespacePrefix,
    ObjectName,
    Outcomes,
    PlainText,
    RepositoryPath,
    UrlPath,
    UserId,
    VariableName,
    WaiverId,
    Words,
    WritablePath,
    Written,
)
from generator.spec.scalars import AbsolutePath, DnsLabel, UserName, complaint
from generator.spec.scalars_network import Endpoint, Port
from generator.spec.schema_base import Section

Language = Literal["go", "java", "php", "nodejs", "python"]
EnvironmentName = Literal["dev", "qa", "pre", "prd"]
ENVIRONMENTS: tuple[EnvironmentName, ...] = ("dev", "qa", "pre", "prd")
"""The environments in the order in which a change passes through them."""
Seconds = Annotated[int, Field(ge=1, le=3600)]
Replicas = Annotated[int, Field(ge=0, le=1000)]


class ProjectMetadata(Section):
    """Who the project is."""

    name: DnsLabel = Field(description="Name of the project: that of its file, its image and its release.")


class GitSection(Section):
    """Where its source is."""

    url: GitUrl = Field(description="Address of the repository, https or ssh, never with a user's password or token.")
    branch: Branch = Field("main", description="Branch or tag that is built unless the run says another.")


class BuildSection(Section):
    """How it is built."""

    command: Written | None = Field(
        None, description="Command for /bin/sh in the repository; what suits the language unless said."
    )
    artifact: RepositoryPath | None = Field(
        None,
        description="File or folder that the build makes, relative to the repository; what suits the language unless "
        "said.",
    )
    image: FixedImage | None = Field(
        None, description="Image in which it is built, with tag or digest; ours for the language unless said."
    )


class RunSection(Section):
    """How it runs."""

    command: Words | None = Field(
        None, description="Program and arguments, one word each, no shell; what suits the language unless said."
    )
    port: Port = Field(8080, description="Port on which it listens.")
    writable: list[WritablePath] = Field(
        ["/tmp"], description="Folders that it may write to; all else is read-only, and nothing outlives the pod."
    )
    env: dict[VariableName, PlainText] = Field({}, description="Environment variables, values as text; no secrets.")
    secrets: list[ObjectName] = Field(
        [], description="Secrets of the environment's namespace whose keys become environment variables."
    )
    image: FixedImage | None = Field(
        None, description="Image in which it runs, with tag or digest; ours for the language unless said."
    )
    user: UserId = Field(10001, description="Number of the user and group as whom it runs; never 0.")


class HealthSection(Section):
    """How one sees that it is well: one of path, command, tcp; the port by TCP unless said."""

    path: UrlPath | None = Field(None, description="Path that answers an HTTP GET with 200 to 399.")
    port: Port | None = Field(None, description="Port that is asked; run.port unless said.")
    command: Words | None = Field(
        None, description="Program and arguments that end with 0; runs where the program does."
    )
    tcp: bool = Field(False, description="Whether it is enough that the port accepts connections.")
    initial_delay_seconds: int = Field(5, ge=0, le=3600, description="Seconds before the first check.")
    period_seconds: Seconds = Field(10, description="Seconds from check to check.")
    timeout_seconds: Seconds = Field(3, description="Seconds that an answer may take.")


class RequestsSection(Section):
    """What is reserved."""

    cpu: Cpu | None = Field("100m", description="Cores, like 100m.")
    memory: Memory | None = Field("128Mi", description="Memory, like 128Mi.")


class LimitsSection(Section):
    """What it never gets more of."""

    cpu: Cpu | None = Field(None, description="Cores; null leaves them unlimited.")
    memory: Memory | None = Field("256Mi", description="Memory; beyond it the container is killed.")


class ResourcesSection(Section):
    """What a container gets."""

    requests: RequestsSection = Field(RequestsSection(), description="What is reserved.")
    limits: LimitsSection = Field(LimitsSection(), description="What it never gets more of.")


class ScalingSection(Section):
    """How many run."""

    replicas: Replicas = Field(2, description="How many run while nothing scales them.")
    min: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Fewest that autoscaling leaves; replicas unless said."
    )
    max: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Most that autoscaling starts; without it nothing scales."
    )
    cpu_percent: int = Field(
        80, ge=1, le=1000, description="Share of the requested cores, in percent, at which autoscaling adds one."
    )


class DockerSection(Section):
    """How the image is made."""

    file: RepositoryPath | None = Field(
        None, description="Dockerfile of your own, relative to the repository; one is generated unless said."
    )
    healthcheck: bool = Field(
        False, description="Whether the generated one has a HEALTHCHECK, for hosts without Kubernetes."
    )


class ChartSection(Section):
    """How it is deployed."""

    path: RepositoryPath | None = Field(
        None, description="Helm chart of your own, relative to the repository; Slipway's unless said."
    )
    values: RepositoryPath | None = Field(
        None, description="Values laid over the generated ones, a file relative to the repository."
    )


class VmSection(Section):
    """How it runs on virtual machines."""

    user: UserName = Field("deploy", description="User as whom Jenkins enters and the program runs.")
    directory: AbsolutePath | None = Field(None, description="Folder of the releases; /srv/<name> unless said.")
    unit: dict[str, dict[str, Any]] = Field(
        {}, description="Further keys of the systemd unit, by section; a list repeats a key."
    )
    keep: Annotated[int, Field(ge=1, le=50)] = Field(3, description="How many releases stay for the way back.")


class TlsSection(Section):
    """How the domain is encrypted."""

    secret: ObjectName = Field(description="Secret of type kubernetes.io/tls in the environment's namespace.")


class RequestsOverride(Section):
    """What is reserved here."""

    cpu: Cpu | None = Field(None, description="Cores, like 100m; null reserves none.")
    memory: Memory | None = Field(None, description="Memory, like 128Mi; null reserves none.")


class LimitsOverride(Section):
    """What it never gets more of here."""

    cpu: Cpu | None = Field(None, description="Cores; null leaves them unlimited.")
    memory: Memory | None = Field(None, description="Memory; null leaves it unlimited.")


class ResourcesOverride(Section):
    """What a container gets here."""

    requests: RequestsOverride = Field(RequestsOverride(), description="What is reserved here.")
    limits: LimitsOverride = Field(LimitsOverride(), description="What it never gets more of here.")


class ScalingOverride(Section):
    """How many run here."""

    replicas: Replicas | None = Field(None, description="How many run while nothing scales them.")
    min: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Fewest that autoscaling leaves; null takes the top's back."
    )
    max: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Most that autoscaling starts; null turns it off here."
    )
    cpu_percent: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Share of the requested cores at which autoscaling adds one."
    )


class EnvironmentSection(Section):
    """One environment: its own facts, and what differs from the top. What is not said here is as at the top."""

    domain: DomainName | None = Field(None, description="Name by which it is reached from outside; none unless said.")
    tls: TlsSection | None = Field(None, description="How the domain is encrypted; plain HTTP unless said.")
    ingress_class: ObjectName | None = Field(
        None, description="Class of the ingress controller; the cluster's default unless said."
    )
    scaling: ScalingOverride = Field(ScalingOverride(), description="How many run here.")
    resources: ResourcesOverride = Field(ResourcesOverride(), description="What a container gets here.")
    env: dict[VariableName, PlainText | None] = Field(
        {}, description="Environment variables laid over run.env; null takes one out."
    )
    secrets: list[ObjectName] | None = Field(None, description="Secrets in place of run.secrets.")
    hosts: list[Endpoint] = Field([], description="Virtual machines to deploy to, by name or address.")


class NotifySection(Section):
    """Who is told of a run."""

    kind: Literal["dingtalk", "wecom", "feishu", "slack", "json", "mail"] = Field(
        description="How: a webhook of a vendor, a webhook that takes plain JSON, or mail."
    )
    secret: CredentialId | None = Field(
        None,
        description="Id of the Jenkins credential that holds the webhook's URL; for mail USER:PASSWORD, where the "
        "server wants a login.",
    )
    signing_secret: CredentialId | None = Field(
        None,
        description="Id of the Jenkins credential that holds the secret with which messages are signed; for robots of "
        "dingtalk and feishu that want it.",
    )
    to: list[MailAddress] = Field([], description="Addresses; for mail alone.")
    on: Outcomes = Field(["success", "failure"], description="After which runs.")


class WaiverSection(Section):
    """A vulnerability that does not stop a run, for a time."""

    id: WaiverId = Field(description="Id as the scanner writes it, like CVE-2026-0001.")
    until: Day = Field(description="Last day on which it holds, like 2026-12-31.")
    reason: Written = Field(description="Why it may be passed over.")


def _one_at_least(environments: dict[Any, Any]) -> dict[Any, Any]:
    if environments:
        return environments
    raise complaint("is empty", "write one at least of dev, qa, pre and prd")


class ProjectSpec(Section):
    """One project."""

    api_version: Literal["slipway.io/v1"] = Field(description="Version of this format.")
    kind: Literal["Project"] = Field(description="Always Project.")
    metadata: ProjectMetadata = Field(description="Who the project is.")
    namespace: NamespacePrefix | None = Field(
        None, description="Namespaces are this, a hyphen and the environment; apps unless said."
    )
    git: GitSection = Field(description="Where its source is.")
    language: Language = Field(description="Language: which agent builds it, and how its Dockerfile is made.")
    deploy: Literal["container", "vm"] = Field(
        "container", description="Whether it runs in the cluster or on virtual machines."
    )
    build: BuildSection = Field(BuildSection(), description="How it is built.")
    run: RunSection = Field(RunSection(), description="How it runs.")
    health: HealthSection = Field(HealthSection(), description="How one sees that it is well: path, command or tcp.")
    resources: ResourcesSection = Field(ResourcesSection(), description="What a container gets.")
    scaling: ScalingSection = Field(ScalingSection(), description="How many run.")
    docker: DockerSection = Field(DockerSection(), description="How the image is made.")
    chart: ChartSection = Field(ChartSection(), description="How it is deployed.")
    vm: VmSection = Field(VmSection(), description="How it runs on virtual machines.")
    environments: Annotated[dict[EnvironmentName, EnvironmentSection], AfterValidator(_one_at_least)] = Field(
        description="Environments, by name: dev, qa, pre, prd; at least one."
    )
    notify: list[NotifySection] = Field([], description="Who is told of a run.")
    waivers: list[WaiverSection] = Field([], description="Vulnerabilities that do not stop a run, each for a time.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a project file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://slipway.io/schemas/v1/project.json",
        **ProjectSpec.model_json_schema(by_alias=True),
    }
