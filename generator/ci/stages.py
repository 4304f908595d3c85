"""Everything that the pipeline needs for one environment of a project, as one document: Groovy decides nothing.

Commands are lists of words, never text for a shell. What only the run knows stands in them as @WORK@ (the folder of the
source), @OUT@ (the folder for what the run itself makes), @TAG@ and @COMMIT@, @IMAGE@ (as pushed, with its digest), and
@AUTH@, @SECRET@, @KEY@ and @KNOWN_HOSTS@ (files of credentials). A secret is named by the id of its credential and is
in no command.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from generator.ci.build_steps import steps_on_agent
from generator.ci.image_build import image_commands, secret_credential
from generator.ci.project import Project
from generator.ci.scalars import Branch
from generator.ci.scanners import image_scan, source_scan
from generator.ci.settings import Settings
from generator.errors import RefusedError

TOOLS = "slipway"
"""Label of the agent that has Slipway, helm, the scanner and the image builder."""
MINUTES = {
    "fetch": 5, "checkout": 10, "scan": 20, "build": 60, "dockerfile": 5, "image": 60, "imageScan": 20, "push": 20,
    "approval": 240, "deploy": 60, "recover": 15, "notify": 5,
}  # fmt: skip
"""How long each stage may take; the time for the approval is that of a person."""
ASKING = ("prd",)
"""Environments to which nothing is released before a person says so."""
_HELM_WAIT = "15m"
"""For what is released, and once more for the way back; both and one more way back before them fit into `deploy`."""
_WAY_BACK = {3: "--atomic"}
"""How helm is told to go back where a release fails, by its major version, where that differs from the newest."""


def stages(
    project: Project, environment: str, settings: Settings, file: str | None = None, branch: str | None = None
) -> dict[str, Any]:
    """Return the document for one environment; `file` is how commands name the project file.

    `branch` is built in place of the project's own. Raises WorkspaceError for an environment that the project does not
    have, RefusedError for a branch that is none, and where there is no registry to push to.
    """
    here = project.environment(environment)
    named = file or project.file
    spec = project.spec
    document: dict[str, Any] = {
        "project": project.name,
        "environment": here.name,
        "language": spec.language,
        "deploy": spec.deploy,
        "agents": {"build": spec.language, "tools": TOOLS},
        "git": {"url": spec.git.url, "branch": _branch(branch) if branch else spec.git.branch},
        "timeouts": dict(MINUTES),
        "asks": list(ASKING),
        "scan": {
            "commands": [
                source_scan(settings, "@WORK@", "@OUT@/scan-source.json"),
                _gate(named, settings, "@OUT@/scan-source.json"),
            ]
        },
        "build": _build(project),
        "image": None,
        "release": None,
        "vm": None,
        "notify": _notify(project, named, settings),
    }
    if project.is_vm:
        hosts = list(here.hosts)
        return {**document, "vm": _machines(project, here.name, named, settings, hosts)}
    if not settings.registry:
        raise RefusedError(
            f"{project.name}: no registry to push to; set addons.jenkins.push.registry in cluster.yaml, or give one "
            "with --push"
        )
    namespace = namespace_of(project, here.name, settings)
    return {
        **document,
        "image": _image(project, named, settings),
        "release": _release(project, here.name, named, settings, namespace),
    }


def _branch(text: str) -> str:
    # A run takes it from whoever starts it, and Jenkins takes patterns and variables in its place.
    try:
        return TypeAdapter(Branch).validate_python(text)
    except ValidationError:
        raise RefusedError(f"{text!r} is no branch, tag or commit; write it like main or v1.2.0") from None


def namespace_of(project: Project, environment: str, settings: Settings) -> str:
    """Return the namespace of an environment: from the project's own where it says one, else the cluster's."""
    here = project.environment(environment)
    return settings.namespaces.get(here.name, here.namespace) if project.spec.namespace is None else here.namespace


def _build(project: Project) -> dict[str, Any]:
    return {
        "commands": [["/bin/sh", "-euc", command] for command in steps_on_agent(project).all],
        "artifact": project.artifact or "." if project.is_vm else None,
    }


def _gate(file: str, settings: Settings, report: str) -> list[str]:
    severity = ",".join(settings.severities)
    return ["slipway", "ci.scan", "--project", file, "--report", report, "--severity", severity]


def _image(project: Project, file: str, settings: Settings) -> dict[str, Any]:
    spec = project.spec
    own = spec.docker.file
    repository = f"{settings.registry}/{project.name}"
    archive, report, digest = "@OUT@/image.tar", "@OUT@/scan-image.json", "@OUT@/digest"
    name = f"{repository}:@TAG@"
    return {
        "own": own,
        "repository": repository,
        "credential": settings.push_secret,
        "buildSecret": secret_credential(settings, spec.language, own),
        # Beside the source, which is the build's context.
        "dockerfile": [] if own else [["slipway", "ci.dockerfile", "--project", file, "--out", "@WORK@"]],
        "build": image_commands(settings, spec.language, name, own, archive),
        # An archive is scanned before anything is pushed.
        "scan": [image_scan(settings, archive, report), _gate(file, settings, report)],
        "push": [
            ["skopeo", "copy", "--authfile", "@AUTH@", "--digestfile", digest, f"docker-archive:{archive}",
             f"docker://{name}"]
        ],
        "digest": digest,
    }  # fmt: skip


def _release(project: Project, environment: str, file: str, settings: Settings, namespace: str) -> dict[str, Any]:
    spec = project.spec
    chart = f"@WORK@/{spec.chart.path}" if spec.chart.path else settings.chart
    values = f"@OUT@/values-{environment}.yaml"
    overlay = ["--values", f"@WORK@/{spec.chart.values}"] if spec.chart.values else []
    made = ["slipway", "ci.values", "--project", file, "--env", environment, "--image", "@IMAGE@", "--out", "@OUT@"]
    made += ["--pull-secret", settings.pull_secret] if settings.pull_secret else []
    recover = ["slipway", "ci.recover", "--project", file, "--env", environment]
    # Only a chart of the project's own has others below it.
    below = ["--dependency-update"] if spec.chart.path else []
    return {
        "name": project.name,
        "namespace": namespace,
        "chart": chart,
        "values": values,
        "commands": [
            made,
            recover,
            # Waits, and goes back to the release before; https://helm.sh/docs/helm/helm_upgrade/
            ["helm", "upgrade", "--install", project.name, chart, "--namespace", namespace, "--values", values,
             *overlay, *below, _WAY_BACK.get(settings.helm, "--rollback-on-failure"), "--wait", "--timeout",
             _HELM_WAIT, "--history-max", "10"],
        ],
        # After an abort: helm was killed in the middle of its own way back.
        "recover": [[*recover, "--at-once"]],
    }  # fmt: skip


def _machines(project: Project, environment: str, file: str, settings: Settings, hosts: list[str]) -> dict[str, Any]:
    artifact = f"@WORK@/{project.artifact}" if project.artifact else "@WORK@"
    return {
        "hosts": hosts,
        "user": project.spec.vm.user,
        "directory": project.vm_directory,
        "unit": f"{project.name}.service",
        "keep": project.spec.vm.keep,
        "credential": settings.ssh_key,
        "knownHosts": settings.known_hosts,
        "commands": [
            ["slipway", "ci.deploy", "--project", file, "--env", environment, "--artifact", artifact, "--release",
             "@TAG@", "--key", "@KEY@", "--known-hosts", "@KNOWN_HOSTS@", "--json"]
        ],
    }  # fmt: skip


def _notify(project: Project, file: str, settings: Settings) -> dict[str, Any]:
    mail = settings.mail
    server = ["--mail-host", mail.host, "--mail-port", str(mail.port), "--mail-from", mail.sender] if mail.host else []
    return {
        "targets": [
            {
                "kind": one.kind,
                "credential": one.secret,
                "signingCredential": one.signing_secret,
                "to": list(one.to),
                "on": list(one.on),
            }
            for one in project.spec.notify
        ],
        "credentials": list(project.webhook_credentials),
        "command": ["slipway", "ci.notify", "--project", file, "--event", "@OUT@/event.json", *server],
    }
