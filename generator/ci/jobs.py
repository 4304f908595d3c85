"""Each project as a job of Jenkins, without a click: Job DSL that the controller's configuration holds.

A job says which project it is and calls the shared library; what a run does follows from the project file at that time.
Reference: https://jenkinsci.github.io/job-dsl-plugin/#path/pipelineJob, and the library's slipwayPipeline.groovy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from generator.ci.project import Project

KEPT_RUNS = 50
"""How many runs a job remembers."""

_PORT = re.compile(r"[a-z]+://[^/]+:([0-9]+)/")
_LAST_PORT = 65535

LIBRARY = "slipway"
"""The name by which jobs ask for the shared library."""


def groovy(text: str) -> str:
    """Return a text as a Groovy literal without a dollar sign, which JCasC would read as a variable."""
    plain = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return "'" + plain.replace("$", "\\u0024") + "'"


def pipeline(project: Project, cluster: str, section: Mapping[str, Any]) -> str:
    """Return the script of a project's job; `section` is addons.jenkins of the cluster by its YAML names."""
    configuration, git = section["configuration"], section["git"]["secret"]
    from_git = f"url: {groovy(configuration['url'] or '')}, branch: {groovy(configuration['ref'])}"
    from_git += f", credential: {groovy(git)}" if git else ""
    given = {
        "project": groovy(project.name),
        "cluster": groovy(cluster),
        "environment": "params.ENVIRONMENT",
        "branch": "params.BRANCH",
        "configuration": f"[{from_git}]",
    }
    if git:
        given["gitCredential"] = groovy(git)
    if section["approvers"]:
        given["approvers"] = groovy(",".join(section["approvers"]))
    lines = ",\n".join(f"    {key}: {value}" for key, value in given.items())
    return f"@Library('{LIBRARY}') _\n\nslipwayPipeline(\n{lines}\n)\n"


def job(project: Project, cluster: str, section: Mapping[str, Any]) -> str:
    """Return the Job DSL of a project. Its runs may go on beside each other: the library keeps releases apart."""
    environments = ", ".join(groovy(name) for name in ("", *project.environment_names))
    facts = f"{project.spec.language}, {project.spec.deploy}; from clusters/{cluster}/projects/{project.name}.yaml"
    return "\n".join(
        (
            f"pipelineJob({groovy(project.name)}) {{",
            f"  description({groovy(facts)})",
            f"  logRotator {{ numToKeep({KEPT_RUNS}) }}",
            "  parameters {",
            f"    choiceParam('ENVIRONMENT', [{environments}], 'where to release; asked for where empty')",
            "    stringParam('BRANCH', '', 'branch or tag; that of the project file where empty')",
            "  }",
            "  definition {",
            "    cps {",
            f"      script({groovy(pipeline(project, cluster, section))})",
            "      sandbox(true)",
            "    }",
            "  }",
            "}",
            "",
        )
    )


def jobs(projects: Sequence[Project], cluster: str, section: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the entry `jobs` of the controller's configuration: a script for each project, by name."""
    return [{"script": job(one, cluster, section)} for one in sorted(projects, key=lambda one: one.name)]


def _port(url: str) -> int | None:
    """Return the port that an address says; one that no host has is nobody's to open."""
    found = _PORT.match(url)
    return int(found[1]) if found and int(found[1]) <= _LAST_PORT else None


def project_facts(projects: Sequence[Project], cluster: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Return what jsonnet gets to know of the projects.

    jobs: as `jobs` gives them. webhooks: the ids of the credentials that notifications need. machines: whether one goes
    to virtual machines. namespaces: where releases go beside the namespaces of the cluster's environments. gitPorts:
    ports that their repositories' addresses say.
    """
    of_cluster = {one["namespace"] for one in section["environments"].values()}
    containers = [one for one in projects if not one.is_vm]
    named = {
        one.environment(name).namespace
        for one in containers
        for name in one.environment_names
        if one.spec.namespace is not None or name not in section["environments"]
    }
    return {
        "jobs": jobs(projects, cluster, section),
        "webhooks": sorted({id for one in projects for id in one.webhook_credentials}),
        "machines": any(one.is_vm for one in projects),
        "namespaces": sorted(named - of_cluster),
        "gitPorts": sorted({port for one in projects if (port := _port(one.spec.git.url)) is not None}),
    }
