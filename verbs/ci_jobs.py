"""The verb that shows the jobs of Jenkins: one for each project of a cluster."""

from __future__ import annotations

from json import dumps

from invoke.context import Context

from generator.ci.jobs import jobs
from generator.ci.project import load_projects
from generator.formats.yaml_text import yaml_text
from generator.spec import load
from verbs import ci_project, console
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import place_of


@verb(
    name="jobs",
    help={"cluster": WHICH, "json": "JSON in place of YAML, with the same keys; docs/json.md has them"},
)
def jobs_(context: Context, cluster: str | None = None, json: bool = False) -> None:
    """Show the jobs that Jenkins gets, one for each project, as its configuration has them. Writes nothing.

    Example: invoke ci.jobs --cluster first
    """
    place = place_of(cluster)
    jenkins = load(place.root, place.cluster).addons.jenkins
    if not jenkins.enabled:
        console.warn(
            f"{place.cluster}: addons.jenkins is off, so no Jenkins gets these jobs; turn it on in cluster.yaml"
        )
    if jenkins.configuration.url is None:
        console.warn(
            f"{place.cluster}: addons.jenkins.configuration.url is not said, and no job runs without it; write it"
        )
    section = jenkins.model_dump(mode="json", by_alias=True)
    projects = load_projects(place.root, place.cluster, today=ci_project.today())
    document = {"jobs": jobs(projects, place.cluster, section)}
    console.raw(dumps(document, indent=2) + "\n" if json else yaml_text(document))
