"""Projects as jobs: what a job says, that no text breaks out of it, and what the cluster gets to know of projects."""

from __future__ import annotations

from typing import Any

import pytest

from generator.ci.jobs import groovy, job, jobs, pipeline, project_facts
from generator.ci.project import Project, load_project
from generator.spec.addons.jenkins import JenkinsSection


def section(**fields: Any) -> dict[str, Any]:
    given = {"configuration": {"url": "https://git.example.net/ops.git"}, **fields}
    return JenkinsSection.model_validate(given).model_dump(mode="json", by_alias=True)


def project(
    name: str = "hello", rest: str = "", environments: str = "{dev: {domain: a.b}, prd: {domain: c.d}}"
) -> Project:
    return load_project(
        f"apiVersion: slipway.io/v1\nkind: Project\nmetadata: {{name: {name}}}\nlanguage: go\n"
        f"git: {{url: 'https://git.example.net/{name}.git'}}\n{rest}\nenvironments: {environments}\n"
    )


def unquoted(literal: str) -> str:
    """Read a literal as Groovy does: escapes of a text between single quotes."""
    assert literal[0] == literal[-1] == "'" and "$" not in literal
    found, rest = "", literal[1:-1]
    while rest:
        if rest.startswith("\\u"):
            found, rest = found + chr(int(rest[2:6], 16)), rest[6:]
        elif rest.startswith("\\"):
            found, rest = found + {"n": "\n", "r": "\r"}.get(rest[1], rest[1]), rest[2:]
        else:
            assert rest[0] != "'"
            found, rest = found + rest[0], rest[1:]
    return found


@pytest.mark.parametrize("text", ["", "plain", "it's", "a\\b", "\\u0024", "${HOME} $x", "two\nlines\r", "'''", "\\'"])
def test_a_text_stays_itself_in_groovy_and_in_a_script_within_a_script(text: str) -> None:
    assert unquoted(groovy(text)) == text
    assert unquoted(unquoted(groovy(groovy(text)))) == text


def test_a_job_calls_the_library_for_its_project_and_asks_what_a_run_may_choose() -> None:
    text = job(project(), "first", section())
    assert text.startswith("pipelineJob('hello') {")
    assert "choiceParam('ENVIRONMENT', ['', 'dev', 'prd']" in text and "stringParam('BRANCH', ''" in text
    (line,) = (one.strip() for one in text.splitlines() if one.strip().startswith("script("))
    assert unquoted(line.removeprefix("script(").removesuffix(")")) == pipeline(project(), "first", section())


def test_the_pipeline_is_given_what_the_cluster_says() -> None:
    plain = pipeline(project(), "first", section())
    assert plain.startswith("@Library('slipway') _\n")
    assert "configuration: [url: 'https://git.example.net/ops.git', branch: 'main']" in plain
    assert "gitCredential" not in plain and "approvers" not in plain
    full = pipeline(project(), "first", section(git={"secret": "ops-git"}, approvers=["anna", "release-team"]))
    assert "branch: 'main', credential: 'ops-git']" in full
    assert "gitCredential: 'ops-git'" in full and "approvers: 'anna,release-team'" in full


def test_jobs_come_by_name() -> None:
    found = jobs([project("b"), project("a")], "first", section())
    assert [one["script"].split("'")[1] for one in found] == ["a", "b"]


def test_the_cluster_gets_to_know_credentials_machines_and_namespaces() -> None:
    known = project("a", "notify: [{kind: slack, secret: team-slack}, {kind: mail, to: [a@example.net]}]")
    apart = project("b", "namespace: shop")
    machine = project("c", "deploy: vm\nnamespace: other", "{prd: {hosts: [vm1.example.net]}}")
    facts = project_facts([known, apart, machine], "first", section())
    assert facts["webhooks"] == ["team-slack"] and facts["machines"]
    assert facts["namespaces"] == ["shop-dev", "shop-prd"]
    assert not project_facts([known], "first", section())["machines"]
    assert project_facts([known], "first", section())["namespaces"] == []


def test_the_ports_of_repositories_are_known() -> None:
    urls = ["ssh://git@a.example.net:2222/a.git", "https://b.example.net:8443/b.git", "git@c.example.net:team/c.git",
            "https://d.example.net/d.git", "ssh://git@e.example.net:99999/e.git"]  # fmt: skip
    projects = [
        load_project(
            f"apiVersion: slipway.io/v1\nkind: Project\nmetadata: {{name: p{number}}}\nlanguage: go\n"
            f"git: {{url: '{url}'}}\nenvironments: {{dev: {{domain: a{number}.b}}}}\n"
        )
        for number, url in enumerate(urls)
    ]
    assert project_facts(projects, "first", section())["gitPorts"] == [2222, 8443]


def test_an_environment_that_the_cluster_does_not_name_has_the_namespace_of_the_project() -> None:
    only_dev = section(environments={"dev": {"namespace": "dev"}})
    assert project_facts([project()], "first", only_dev)["namespaces"] == ["apps-prd"]
