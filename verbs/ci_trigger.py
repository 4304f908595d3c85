"""The verb with which a platform, or anybody, starts the pipeline of a project."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit

from fleet.jenkins import Build, Jenkins, JenkinsError, Login, login_from
from fleet.secrets import SecretStore
from generator.ci.stages import ASKING
from generator.errors import RefusedError, WorkspaceError
from generator.sealing import identity_once, sealed_path
from generator.spec import load
from verbs import console
from verbs.ci_pipeline import read_input
from verbs.ci_project import AS_JSON, PROJECT, settled
from verbs.rendering import WHICH
from verbs.verb import agreed, verb
from verbs.workspace import Place

TRIGGER_SECRET = "addons/jenkins-trigger"
"""The sealed secret with USER:TOKEN of who starts jobs."""
BEGIN_SECONDS, END_SECONDS = 30, 3600


@verb(
    name="trigger",
    help={
        "project": PROJECT,
        "env": "which environment",
        "branch": "branch or tag that is built in place of the project's own",
        "wait": "follow the build to its result",
        "timeout": f"seconds: with --wait until the result, {END_SECONDS}; without until the build begins, "
        f"{BEGIN_SECONDS}",
        "yes": "start it for prd without a question",
        "token-file": f"file with USER:TOKEN of Jenkins, - for standard input; else the sealed secret {TRIGGER_SECRET}",
        "url": "URL of Jenkins; else addons.jenkins.url of the cluster",
        "job": "the job, FOLDER/NAME where it lies in a folder; else the name of the project",
        "ca": "file with the CA that signed the certificate of Jenkins; else those of this machine",
        "cluster": WHICH,
        "json": AS_JSON,
    },
)
def trigger(
    context: Context,
    project: str,
    env: str,
    branch: str | None = None,
    wait: bool = False,
    timeout: int = 0,
    yes: bool = False,
    token_file: str | None = None,
    url: str | None = None,
    job: str | None = None,
    ca: str | None = None,
    cluster: str | None = None,
    json: bool = False,
) -> int:
    """Start the project's job of Jenkins: exit 0 it was started or succeeded, 2 it ended otherwise, 1 error.

    Example: invoke ci.trigger --project hello --env dev --wait
    """
    found, place = settled(project, cluster)
    here = found.environment(env).name
    if timeout < 0:
        raise RefusedError(f"--timeout {timeout}: give a number of seconds, 1 or more")
    address = url or jenkins_url(place)
    named = job or found.name
    if here in ASKING and not (yes or (not json and agreed(f"start {named} for {here}?", assumed=False))):
        raise RefusedError(f"{found.name}: {here} is asked for and nobody agreed; nothing was started; add --yes")
    jenkins = Jenkins(address, login_of(place, token_file), ca=Path(ca).expanduser() if ca else None)
    if jenkins.plain:
        console.warn(f"{jenkins.url}: the token goes there unencrypted; give Jenkins https")
    deadline = time.monotonic() + (timeout or (END_SECONDS if wait else BEGIN_SECONDS))
    queue = jenkins.start(named, {"ENVIRONMENT": here, **({"BRANCH": branch} if branch else {})})
    console.tell(f"{named}: in the queue as item {queue}")
    build = Build(queue)

    def document(known: Build) -> None:
        told = {"project": found.name, "environment": here, "job": named, **asdict(known)}
        console.raw(dumps(told, indent=2) + "\n")

    try:
        build = jenkins.begun(queue, deadline)
        if build.number is not None:
            console.tell(f"{named}: build {build.number}{f', {build.url}' if build.url else ''}")
        if wait:
            build = jenkins.ended(named, build, deadline)
    except (JenkinsError, RefusedError) as error:
        # It was started, and whoever reads the document has to know which one it is.
        if json:
            document(replace(build, why=str(error)))
        raise
    except KeyboardInterrupt:
        what = f"build {build.number}" if build.number else f"queue item {queue}"
        raise Exit(f"interrupted; {what} of {named} goes on in Jenkins, the same command starts another", 130) from None
    if json:
        document(build)
    else:
        console.say(_build_line(named, build))
    return 0 if build.result in {None, "SUCCESS"} else 2


def _build_line(job: str, build: Build) -> str:
    if build.number is None:
        return f"{job}: waits in the queue as item {build.queue}: {build.why}"
    if build.result is None:
        return f"{job}: build {build.number} has begun"
    return f"{job}: build {build.number} ended with {build.result} after {build.seconds or 0:.0f} s"


def jenkins_url(place: Place | None) -> str:
    """Return where Jenkins of a cluster is; raises RefusedError where it has none or does not say its URL."""
    if place is None:
        raise WorkspaceError("no cluster whose Jenkins is meant; name one with --cluster, or give --url")
    section = getattr(load(place.root, place.cluster).addons, "jenkins", None)
    if not getattr(section, "enabled", False):
        raise RefusedError(f"{place.cluster}: addons.jenkins is off; turn it on in cluster.yaml, or give --url")
    url = getattr(section, "url", None)
    if not url:
        raise RefusedError(f"{place.cluster}: addons.jenkins.url is not said; write it in cluster.yaml, or give --url")
    return str(url)


def login_of(place: Place | None, token_file: str | None) -> Login:
    """Return user and token, from the file that is named or the sealed secret; neither is ever shown."""
    if token_file is not None:
        return login_from(read_input(token_file, "--token-file"), f"--token-file {token_file}")
    if place is None or not sealed_path(place.inputs, TRIGGER_SECRET).is_file():
        raise RefusedError(
            f"no user of Jenkins to start jobs with; seal USER:TOKEN as secrets/{TRIGGER_SECRET}.age of the cluster "
            "(docs/ci/platform.md says how), or give --token-file"
        )
    value = SecretStore(place.inputs, identity_once()).value(TRIGGER_SECRET)
    return login_from(value, f"{place.cluster}: secret {TRIGGER_SECRET}")
