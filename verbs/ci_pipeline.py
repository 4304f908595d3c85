"""Verbs that the pipeline calls, and that work on a laptop all the same: stages, scan gate, notification."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import asdict, replace
from functools import partial
from json import dumps
from pathlib import Path

from invoke.context import Context

import addons
from fleet import helm_release
from fleet.telling import Hook, Letter, MailServer, tell
from generator.ci.languages import LANGUAGES
from generator.ci.notices import Event, event_from, mail_text, refusal, signing, webhook_body
from generator.ci.project import Project
from generator.ci.scanning import judge, severities_of
from generator.ci.settings import Settings, settings_from
from generator.ci.stages import stages
from generator.errors import WorkspaceError
from generator.spec import load
from verbs import ci_project, console
from verbs.ci_project import AS_JSON, PROJECT, loaded, project_file, settled
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import Place


def settings_of(place: Place | None) -> Settings:
    """Return what the cluster says about its delivery chain, and where this machine has chart and package sources."""
    section = None
    if place is not None:
        section = load(place.root, place.cluster).addons.model_dump(mode="json", by_alias=True).get("jenkins")
    sources = {name for one in LANGUAGES.values() for name in (*one.sources, one.secret.variable) if name}
    return replace(
        settings_from(section or {}),
        chart=str(_chart(place)),
        sources={name: os.environ[name] for name in sorted(sources) if os.environ.get(name)},
    )


def _chart(place: Place | None) -> Path:
    """Return the package that was reviewed with the cluster's tree; our own folder where the tree has none."""
    packages = sorted((place.rendered / "charts").glob("app-*.tgz")) if place is not None else []
    return packages[0] if len(packages) == 1 else Path(next(iter(addons.__path__))) / "charts" / "app"


def read_input(name: str, option: str) -> bytes:
    """Return what a file holds, or standard input for "-"; raises WorkspaceError where it cannot be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).expanduser().read_bytes()
    except OSError as error:
        raise WorkspaceError(
            f"{option} {name}: cannot be read ({error.strerror}); name a file, or - for stdin"
        ) from None


@verb(
    name="stages",
    help={
        "project": PROJECT,
        "env": "which environment",
        "branch": "branch, tag or commit that is built; else that of the project file",
        "push": "registry to push to, with its path; else addons.jenkins.push.registry of the cluster",
        "build-secret": "file with the credentials for package sources, for the build alone; else the credential that "
        "addons.jenkins.buildSecrets names",
        "cluster": WHICH,
        "json": AS_JSON,
    },
)
def stages_(
    context: Context,
    project: str,
    env: str,
    branch: str | None = None,
    push: str | None = None,
    build_secret: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> None:
    """Say what the pipeline does for an environment of a project: every command, credential, time and address.

    Example: invoke ci.stages --project hello --env dev --json
    """
    path, _ = project_file(project, cluster)
    found, place = loaded(project, cluster)
    settings = settings_of(place)
    settings = replace(settings, registry=push.rstrip("/") if push else settings.registry)
    settings = replace(settings, build_secret=build_secret or settings.build_secret, helm=helm_release.major())
    document = stages(found, env, settings, str(path), branch)
    if json:
        console.raw(dumps(document, indent=2) + "\n")
        return
    console.say(f"{found.name} to {env}: built on {document['agents']['build']}, deploy is {document['deploy']}")
    for part in ("scan", "build", "image", "release", "vm"):
        for key in ("commands", "dockerfile", "build", "scan", "push"):
            for command in (document[part] or {}).get(key, []):
                console.say(f"  {part}: {shlex.join(command)}")
    if env in document["asks"]:
        console.say("  asks before it is released")


@verb(
    name="scan",
    help={
        "project": PROJECT,
        "report": "the scanner's JSON report (of Trivy, schema 2, or of Grype), - for standard input",
        "severity": "what stops a run, separated by commas; else what the cluster says, HIGH,CRITICAL by default",
        "cluster": WHICH,
        "json": AS_JSON,
    },
)
def scan(
    context: Context,
    project: str,
    report: str,
    severity: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> int:
    """Judge a scanner's report against the waivers of a project: exit 0 it passes, 2 findings stop the run, 1 error.

    A report comes from a file, or with - on standard input: `trivy fs --format json . | invoke ci.scan … --report -`.

    Example: invoke ci.scan --project hello --report report.json
    """
    found, place = settled(project, cluster)
    stopping = severities_of(severity) if severity else settings_of(place).severities
    verdict = judge(read_input(report, "--report"), found.spec.waivers, ci_project.today(), stopping)
    if json:
        document = {
            "subject": verdict.subject,
            "passes": verdict.passes,
            "severities": list(stopping),
            "stopping": [asdict(one) for one in verdict.stopping],
            "waived": [{**asdict(one), "until": by.until, "reason": by.reason} for one, by in verdict.waived],
            "endedWaivers": [one.id for one in verdict.ended],
            "idleWaivers": [one.id for one in verdict.idle],
            "milder": verdict.milder,
            "targets": verdict.targets,
            "forsaken": verdict.forsaken or None,
        }
        console.raw(dumps(document, indent=2) + "\n")
    else:
        for line in verdict.lines:
            console.say(line)
    return 0 if verdict.passes else 2


@verb(
    name="notify",
    help={
        "project": PROJECT,
        "event": "JSON document about the run, - for standard input; docs/ci/notifications.md has its keys",
        "webhook": "CREDENTIAL=FILE: the file that holds the URL, what messages are signed with or the login for "
        "mail, - for standard input; may be given several times",
        "mail-host": "the mail server; else that of the cluster",
        "mail-port": "its port; else that of the cluster, 25 by default",
        "mail-from": "who sends; else what the cluster says",
        "cluster": WHICH,
        "json": AS_JSON,
    },
    iterable=["webhook"],
)
def notify(
    context: Context,
    project: str,
    event: str,
    webhook: list[str] | None = None,
    mail_host: str | None = None,
    mail_port: int = 0,
    mail_from: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> None:
    """Tell those who want to know how a run ended. What cannot be sent is said, and is no failure of the run.

    Example: invoke ci.notify --project hello --event event.json --webhook hello-slack=/run/secrets/hello-slack
    """
    found, place = settled(project, cluster)
    happened = event_from(read_input(event, "--event"))
    mail = settings_of(place).mail
    server = MailServer(mail_host or mail.host, mail_port or mail.port, mail_from or mail.sender)
    told = tell(notices_of(found, happened), secrets_of(webhook or [], event), server)
    for one in told:
        if one.why:
            console.warn(f"{found.name}: {one.kind} to {one.to} was not sent: {one.why}")
    if json:
        console.raw(dumps({"told": [{**asdict(one), "sent": not one.why} for one in told]}, indent=2) + "\n")
    else:
        console.say(f"{found.name}: {sum(not one.why for one in told)} of {len(told)} notifications sent")


def notices_of(project: Project, event: Event) -> list[Hook | Letter]:
    """Return what goes to those who want to know of an event."""
    found: list[Hook | Letter] = []
    for one in project.spec.notify:
        if event.concerns not in one.on:
            continue
        if one.kind == "mail":
            found.append(Letter(one.to, *mail_text(event), one.secret or ""))
        else:
            found.append(
                Hook(
                    one.kind,
                    one.secret or "",
                    webhook_body(one.kind, event),
                    partial(refusal, one.kind),
                    signing(one.kind),
                    one.signing_secret or "",
                )
            )
    return found


def secrets_of(given: list[str], event: str) -> dict[str, str]:
    """Return URLs and signing secrets by credential; raises WorkspaceError where a word names no file; shows none."""
    found: dict[str, str] = {}
    readers = ["--event"] if event == "-" else []
    for word in given:
        credential, _, file = word.partition("=")
        if not file or "://" in word:
            raise WorkspaceError("--webhook: write CREDENTIAL=FILE; what is given holds a secret, and is not shown")
        if file == "-":
            readers.append(f"--webhook {credential}")
        if len(readers) > 1:
            raise WorkspaceError(f"{' and '.join(readers)}: standard input is read once; use a file")
        text = read_input(file, "--webhook").decode("utf-8", "replace").strip()
        if not text:
            raise WorkspaceError(f"--webhook {word}: the file is empty; put the URL or secret into it")
        found[credential] = text
    return found
