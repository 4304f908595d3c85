"""The shared library under real Groovy: it compiles, its functions say what they should, its stages come in order.

Steps of Jenkins and two of its classes are stand-ins (tests/ci/groovy); a controller is not run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from generator.ci.notices import event_from
from generator.ci.settings import Mail, Settings
from generator.ci.stages import stages
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN, sample

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(
        not (shutil.which("groovyc") and shutil.which("java")), reason="needs Groovy (package groovy, with a Java)"
    ),
]
HERE = Path(__file__).parent / "groovy"
LIBRARY = Path(__file__).parents[2] / "addons/jenkins/library"
PIPELINE = LIBRARY / "vars/slipwayPipeline.groovy"
SETTINGS = Settings(registry="registry.example.net/apps", chart="/slipway/chart", mail=Mail("mail.example.net", 25, ""))
COMMIT = "ab" * 20
TAG = "abababababab-7"
GIVEN = {
    "project": "hello",
    "cluster": "demo",
    "environment": "prd",
    "configuration": {"url": "https://git.example.net/ops.git", "credential": "ops-git"},
    "approvers": "release-team",
}


def java() -> dict[str, str]:
    program = shutil.which("java")
    assert program is not None
    return {**os.environ, "JAVA_HOME": str(Path(program).resolve().parents[1])}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, compiled by groovyc beside the stand-ins."""
    out = tmp_path_factory.mktemp("classes")
    sources = [str(path) for folder in (HERE / "stand_ins", LIBRARY) for path in sorted(folder.rglob("*.groovy"))]
    done = subprocess.run(["groovyc", "-d", str(out), *sources], env=java(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "slipwayPipeline.class").is_file()
    return out


def groovy(classes: Path, script: str, document: Any, *arguments: str) -> Any:
    words = ["groovy", "-cp", str(classes), str(HERE / script), *arguments]
    done = subprocess.run(words, env=java(), capture_output=True, text=True, input=json.dumps(document))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def call(of: str, name: str, *words: Any) -> dict[str, Any]:
    return {"of": of, "name": name, "with": list(words)}


def test_words_reach_a_shell_unchanged(classes: Path) -> None:
    words = [
        "printf",
        "%s\\n",
        "plain",
        "",
        "two words",
        "it's",
        "$HOME",
        "`id`",
        'say "x"',
        "a\nb",
        "*",
        "@OTHER@",
        "ü",
    ]
    line, filled, absent, secret, written = groovy(
        classes,
        "functions.groovy",
        [
            call("Words", "line", words, {}),
            call("Words", "line", ["a", "--output=@OUT@/x", "@WORK@"], {"OUT": "/o u't", "WORK": "/w"}),
            call("Words", "line", ["push", "@IMAGE@"], {"IMAGE": None}),
            call("Words", "line", ["push", "--authfile", "@AUTH@/x y"], {}, {"AUTH": "SLIPWAY_AUTH"}),
            call("Words", "asWritten", ["printf", "%s", "", "it's @TAG@ $HOME", "@AUTH@"]),
        ],
    )
    done = subprocess.run(["sh", "-c", written["gave"]], capture_output=True, text=True)
    assert done.stdout == "it's @TAG@ $HOME@AUTH@"
    done = subprocess.run(["sh", "-c", line["gave"]], capture_output=True, text=True)
    assert done.stdout == "".join(f"{word}\n" for word in words[2:])
    assert subprocess.run(["sh", "-c", f"printf '%s\\n' {filled['gave']}"], capture_output=True, text=True).stdout == (
        "a\n--output=/o u't/x\n/w\n"
    )
    assert absent["threw"] == "nothing is known for @IMAGE@ in: @IMAGE@"
    # The shell, not the line, knows where the credential is.
    assert secret["gave"] == "push --authfile \"$SLIPWAY_AUTH\"'/x y'"


def test_tag_image_event_and_outcome(classes: Path) -> None:
    facts = {"project": "hello", "environment": "dev", "outcome": "failure", "began": 1000, "ended": 63999,
             "author": 'Ada "x" <a@b>\n', "failedStage": "Build", "plan": {"x": 1}, "image": None}  # fmt: skip
    tag, short, image, undigested, event, *outcomes, webhooks = groovy(
        classes,
        "functions.groovy",
        [
            call("Facts", "tag", COMMIT, "7"),
            call("Facts", "tag", "main", "7"),
            call("Facts", "image", "registry.example.net/apps/hello", TAG, f"sha256:{'c' * 64}\n"),
            call("Facts", "image", "registry.example.net/apps/hello", TAG, ""),
            call("Facts", "event", facts),
            *(call("Facts", "outcome", [one]) for one in ("UserInterruption", "Rejection", "QueueTaskCancelled")),
            *(call("Facts", "outcome", [one]) for one in ("ExceededTimeout", "RemovedNodeTimeoutCause")),
            call("Facts", "outcome", []),
            call("Facts", "webhooks", ["hello-slack", "ops"]),
        ],
    )
    assert tag["gave"] == TAG
    assert short["threw"] == "no commit: main"
    assert image["gave"] == f"registry.example.net/apps/hello:{TAG}@sha256:{'c' * 64}"
    assert undigested["threw"] == "no digest came with the push: "
    found = event_from(event["gave"])
    assert (found.author, found.duration_seconds, found.failed_stage, found.image) == (
        'Ada "x" <a@b>', 62, "Build", "",
    )  # fmt: skip
    assert [one["gave"] for one in outcomes] == ["aborted"] * 3 + ["failure"] * 3
    assert webhooks["gave"] == ["--webhook", "hello-slack=@SLIPWAY_WEBHOOK_0@", "--webhook", "ops=@SLIPWAY_WEBHOOK_1@"]


def scenario(
    text: str,
    environment: str = "prd",
    given: dict[str, Any] | None = None,
    author: str = "Ada Lovelace <ada@example.net>",
    **more: Any,
) -> dict[str, Any]:
    """Return what one run of the pipeline begins with, as tests/ci/groovy/pipeline.groovy wants it."""
    project = sample(text)
    plan = stages(project, environment, SETTINGS, "configuration/clusters/demo/projects/hello.yaml")
    valid = {"projects": [{"environments": list(project.environment_names)}], "faults": []}
    answers = [
        ["ci.validate", json.dumps(valid)],
        ["ci.stages", json.dumps(plan)],
        ["git log", f"{author}\n"],
        ["ci.deploy", json.dumps({"digest": "d" * 64})],
    ]
    return {"number": 7, "given": given or {**GIVEN, "environment": environment}, "answers": answers, **more}


def run(classes: Path, text: str, *words: Any, **named: Any) -> tuple[str, list[dict[str, Any]]]:
    """Run the pipeline; return how it ended and what it did."""
    answer = groovy(classes, "pipeline.groovy", [scenario(text, *words, **named)], str(PIPELINE))
    return answer["ends"][0]["end"], answer["trace"]


def beside(classes: Path, *scenarios: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run the pipeline several times at once; return how each run ended, and what all did, in order."""
    answer = groovy(classes, "pipeline.groovy", list(scenarios), str(PIPELINE))
    return answer["ends"], answer["trace"]


def by(trace: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [one for one in trace if one["run"] == number]


def at(trace: list[dict[str, Any]], number: int, key: str) -> int:
    """Return where a run first noted something."""
    return next(index for index, one in enumerate(trace) if one["run"] == number and key in one)


def of(trace: list[dict[str, Any]], key: str) -> list[Any]:
    return [one[key] for one in trace if key in one]


SCAN = "--no-progress --timeout 15m --cache-backend memory --scanners vuln --format json"
CONTAINER_STAGES = [
    "Fetch project", "Checkout", "Scan source", "Build", "Dockerfile", "Build image", "Scan image", "Push image",
    "Choose environment", "Release", "Notify",
]  # fmt: skip


def event_of(trace: list[dict[str, Any]]) -> Any:
    return event_from(next(one["text"] for one in trace if one.get("wrote") == "event.json"))


def test_a_container_from_project_file_to_release(classes: Path) -> None:
    end, trace = run(classes, EVERYTHING)
    assert end == "finished"
    assert of(trace, "stage") == CONTAINER_STAGES
    assert of(trace, "node") == ["slipway", "python", "slipway", "slipway", "slipway"]
    commands = of(trace, "sh")
    # A release that was left half-way is seen to before helm refuses it.
    order = [one.split()[0] if one.startswith("helm") else one.split()[1] for one in commands if "ci.recover" in one
             or one.startswith("helm")]  # fmt: skip
    assert order == ["ci.recover", "helm"]
    # Every stage has its minutes.
    after = [trace[index + 1] for index, one in enumerate(trace) if "stage" in one]
    assert all(one.get("timeout") and one["unit"] == "MINUTES" for one in after)
    places = {one["sh"]: one for one in trace if "sh" in one}
    work = "/agent-slipway/slipway/hello/7"
    builds = [one for one in commands if one.startswith("/bin/sh")]
    assert len(builds) == 2 and "pip install" in builds[0] and "make all" in builds[1]
    assert [one for one in commands if one.startswith(("trivy", "env", "skopeo", "helm", "/bin/sh"))] == [
        f"trivy fs {SCAN} --output {work}/out/scan-source.json {work}/source",
        *builds,
        next(one for one in commands if one.startswith(f"env DOCKER_CONFIG={work}/out/logins buildctl")),
        f"trivy image {SCAN} --output {work}/out/scan-image.json --input {work}/out/image.tar",
        f"skopeo copy --authfile \"$SLIPWAY_AUTH\" --digestfile {work}/out/digest docker-archive:{work}/out/image.tar "
        f"docker://registry.example.net/apps/hello:{TAG}",
        f"helm upgrade --install hello {work}/source/deploy/chart --namespace shop-prd --values "
        f"{work}/out/values-prd.yaml --values {work}/source/deploy/values.yaml --dependency-update "
        "--rollback-on-failure --wait --timeout 15m --history-max 10",
    ]  # fmt: skip
    assert {places[one]["in"] for one in builds} == {"/agent-python/slipway/hello/7/source"}
    assert any(f"--image registry.example.net/apps/hello:{TAG}@sha256:{'c' * 64} " in one for one in commands)
    # Credentials are there for the commands that need them, and for no other.
    with_secret = {one["sh"].split()[0] + " " + one["sh"].split()[1]: one["with"] for one in trace if one.get("with")
                   and "sh" in one}  # fmt: skip
    assert with_secret == {
        "install -D": ["SLIPWAY_AUTH"],
        "env DOCKER_CONFIG=" + f"{work}/out/logins": ["SLIPWAY_AUTH"],
        "rm -r": ["SLIPWAY_AUTH"],
        "skopeo copy": ["SLIPWAY_AUTH"],
        "slipway ci.notify": ["SLIPWAY_WEBHOOK_0", "SLIPWAY_WEBHOOK_1"],
    }
    told = event_of(trace)
    assert (told.outcome, told.environment, told.failed_stage, told.author) == (
        "success", "prd", "", "Ada Lovelace <ada@example.net>",
    )  # fmt: skip
    assert told.image.endswith(f":{TAG}@sha256:{'c' * 64}")


def test_what_is_sealed_stays_where_it_is_and_what_a_plan_needs_does_not(classes: Path) -> None:
    _, trace = run(classes, PLAIN, "dev")
    [patterns] = [one["excludes"] for one in trace if one.get("stash") == "configuration"]
    # Ant's patterns: two stars for any folders, one for a part of a name.
    parts = (re.escape(one).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*") for one in patterns.split(","))
    excluded = re.compile("|".join(one.replace(r"\*", "[^/]*") for one in parts)).fullmatch
    clusters, rendered = "configuration/clusters/demo", "configuration/rendered/demo"
    for name in (f"{clusters}/pki/ca.key.age", f"{clusters}/secrets/addons/x.age", f"{rendered}/hosts/a/files/etc/x"):
        assert excluded(name), name
    for name in (
        f"{clusters}/cluster.yaml", f"{clusters}/projects/hello.yaml", f"{clusters}/addons.jsonnet",
        f"{rendered}/charts/app-1.0.0.tgz", f"{rendered}/bom.yaml",
    ):  # fmt: skip
        assert not excluded(name), name


def test_prd_asks_and_others_do_not(classes: Path) -> None:
    _, trace = run(classes, PLAIN)
    assert [(one["input"], one["submitter"]) for one in trace if "input" in one] == [
        (f"Release hello {TAG} to prd?", "release-team")
    ]
    # While people think, no agent waits: it is left before.
    asked = next(index for index, one in enumerate(trace) if "input" in one)
    before = trace[:asked]
    assert len(of(before, "node")) == len(of(before, "left"))
    _, trace = run(classes, PLAIN, "dev")
    assert of(trace, "input") == []


def test_the_environment_is_asked_for_where_nobody_said_it(classes: Path) -> None:
    given = {key: value for key, value in GIVEN.items() if key != "environment"}
    _, trace = run(classes, PLAIN, "dev", given)
    assert of(trace, "input") == [f"Release hello {TAG}?"]
    assert [one for one in of(trace, "sh") if "ci.stages" in one][-1].endswith("--env qa --json")


def test_virtual_machines_take_the_other_way(classes: Path) -> None:
    end, trace = run(classes, MACHINES + "\nnotify: [{kind: slack, secret: hello-slack}]\n")
    assert end == "finished"
    assert of(trace, "stage") == [
        "Fetch project", "Checkout", "Scan source", "Build", "Choose environment", "Release", "Notify",
    ]  # fmt: skip
    assert [one["includes"] for one in trace if one.get("stash") == "artifact"] == [
        "source/target/hello.jar,source/target/hello.jar/**"
    ]
    release = next(one for one in trace if "ci.deploy" in one.get("sh", ""))
    assert release["with"] == ["SLIPWAY_KEY", "SLIPWAY_KNOWN_HOSTS"]
    assert '--key "$SLIPWAY_KEY" --known-hosts "$SLIPWAY_KNOWN_HOSTS"' in release["sh"]
    assert event_of(trace).artifact == f"target/hello.jar {TAG} sha256:{'d' * 64}"


@pytest.mark.parametrize(
    ("how", "end", "outcome"),
    [("failed", "script returned exit code 1", "failure"), ("UserInterruption", "interrupted", "aborted"),
     ("ExceededTimeout", "interrupted", "failure"), ("RemovedNodeCause", "interrupted", "failure")],
)  # fmt: skip
def test_what_breaks_is_told_and_goes_no_further(classes: Path, how: str, end: str, outcome: str) -> None:
    found, trace = run(classes, EVERYTHING, "dev", breaks="trivy image", how=how)
    assert found == end
    assert of(trace, "stage")[-2:] == ["Scan image", "Notify"]
    # Both reports stay with the run, also that of a scan that stopped it, and one that never came breaks nothing.
    kept = [(one["kept"], one["orNothing"]) for one in trace if "kept" in one]
    assert kept == [("out/scan-*.json", True)] * 2
    assert not any("skopeo" in one or "helm" in one for one in of(trace, "sh"))
    told = event_of(trace)
    assert (told.outcome, told.failed_stage, told.environment) == (outcome, "Scan image", "dev")
    # Every folder is left empty, however the run ended, and the one beside it that steps use.
    deleted = of(trace, "deleted")
    assert len(deleted) == 3 * len(of(trace, "node"))
    assert len([one for one in deleted if one.endswith("/7@tmp")]) == len(of(trace, "node"))


def test_an_abort_of_a_release_is_followed_by_the_way_back(classes: Path) -> None:
    end, trace = run(classes, EVERYTHING, "dev", breaks="helm upgrade", how="UserInterruption")
    assert end == "interrupted"
    at = next(index for index, one in enumerate(trace) if one.get("sh", "").startswith("helm upgrade"))
    # helm is killed five seconds after it was asked to end.
    assert [one.get("slept") or one.get("sh") for one in trace[at + 1 : at + 4]][1:] == [
        10,
        "slipway ci.recover --project configuration/clusters/demo/projects/hello.yaml --env dev --at-once",
    ]
    assert event_of(trace).outcome == "aborted"
    # One that fails has gone back by itself.
    end, trace = run(classes, EVERYTHING, "dev", breaks="helm upgrade", how="failed")
    assert not any("--at-once" in one for one in of(trace, "sh"))


@pytest.mark.parametrize(
    ("breaks", "how", "outcome", "stage"),
    [("agent python", "UserInterruption", "aborted", "Build"),
     ("the input", "Rejection", "aborted", "Choose environment")],
)  # fmt: skip
def test_the_stage_is_named_that_waited(classes: Path, breaks: str, how: str, outcome: str, stage: str) -> None:
    _, trace = run(classes, EVERYTHING, breaks=breaks, how=how)
    told = event_of(trace)
    assert (told.outcome, told.failed_stage) == (outcome, stage)


def releases(trace: list[dict[str, Any]]) -> list[int]:
    return [one["run"] for one in trace if one.get("sh", "").startswith("helm upgrade")]


def test_a_run_for_dev_goes_by_while_one_for_prd_waits_for_its_approval(classes: Path) -> None:
    waiting = scenario(EVERYTHING, number=7, holds=["the input", 8, "ended"])
    ends, trace = beside(classes, waiting, scenario(EVERYTHING, "dev", number=8, begins=[7, "holds"]))
    assert [one["end"] for one in ends] == ["finished"] * 2
    assert releases(trace) == [8, 7]
    # A newer release to another environment is none to this one.
    assert [one["result"] for one in ends] == [None] * 2
    assert event_of(by(trace, 7)).outcome == event_of(by(trace, 8)).outcome == "success"
    assert of(trace, "locked") == ["hello-dev", "hello-prd"] and not of(trace, "waits")


def test_two_environments_are_released_to_at_the_same_time(classes: Path) -> None:
    held = scenario(EVERYTHING, number=7, holds=["helm upgrade", 8, "ended"])
    ends, trace = beside(classes, held, scenario(EVERYTHING, "dev", number=8, begins=[7, "holds"]))
    assert [one["end"] for one in ends] == ["finished"] * 2
    assert at(trace, 7, "locked") < at(trace, 8, "locked") < at(trace, 8, "unlocked") < at(trace, 7, "unlocked")


def test_two_releases_to_one_environment_wait_for_each_other(classes: Path) -> None:
    first = scenario(EVERYTHING, number=7, holds=["helm upgrade", 8, "waits"])
    ends, trace = beside(classes, first, scenario(EVERYTHING, number=8, begins=[7, "holds"]))
    assert [one["end"] for one in ends] == ["finished"] * 2
    assert at(trace, 8, "waits") < at(trace, 7, "unlocked") < at(trace, 8, "locked")
    assert releases(trace) == [7, 8]
    # All that touches the release is done by the one that has the lock: what went before is brought back under it too.
    for number in (7, 8):
        touched = [
            index
            for index, one in enumerate(trace)
            if one["run"] == number and any(word in one.get("sh", "") for word in ("helm", "ci.recover"))
        ]
        assert at(trace, number, "locked") < min(touched) and max(touched) < at(trace, number, "unlocked")
    # While it waits it holds no agent, and no minutes of a stage run, only the hours of the run.
    before = by(trace[: at(trace, 8, "waits")], 8)
    assert len(of(before, "node")) == len(of(before, "left"))
    assert len(of(before, "timeout")) == len(of(before, "over")) + 1
    assert next((one["timeout"], one["unit"]) for one in before if "timeout" in one) == (12, "HOURS")


@pytest.mark.parametrize(("how", "outcome"), [("UserInterruption", "aborted"), ("ExceededTimeout", "failure")])
def test_a_run_that_ends_while_it_waits_is_told_and_touches_nothing(classes: Path, how: str, outcome: str) -> None:
    first = scenario(EVERYTHING, number=7, holds=["helm upgrade", 8, "ended"])
    second = scenario(EVERYTHING, number=8, begins=[7, "holds"], breaks="the wait for hello-prd", how=how)
    ends, trace = beside(classes, first, second)
    assert [one["end"] for one in ends] == ["finished", "interrupted"]
    told = event_of(by(trace, 8))
    assert (told.outcome, told.failed_stage, told.environment) == (outcome, "Release", "prd")
    assert not any("helm" in one or "ci.recover" in one for one in of(by(trace, 8), "sh"))
    # The other one has its release, and its lock.
    assert event_of(by(trace, 7)).outcome == "success" and of(trace, "locked") == ["hello-prd"]


def test_an_abort_is_recovered_before_another_may_release(classes: Path) -> None:
    first = scenario(
        EVERYTHING, number=7, holds=["helm upgrade", 8, "waits"], breaks="helm upgrade", how="UserInterruption"
    )
    ends, trace = beside(classes, first, scenario(EVERYTHING, number=8, begins=[7, "holds"]))
    assert [one["end"] for one in ends] == ["interrupted", "finished"]
    back = next(index for index, one in enumerate(trace) if one["run"] == 7 and "--at-once" in one.get("sh", ""))
    assert back < at(trace, 7, "unlocked") < at(trace, 8, "locked")


def test_an_older_run_releases_nothing_over_a_newer_one(classes: Path) -> None:
    older = scenario(EVERYTHING, number=7, holds=["the input", 9, "ended"])
    between = scenario(EVERYTHING, "dev", number=8, begins=[7, "holds"])
    newer = scenario(EVERYTHING, number=9, begins=[8, "ended"])
    ends, trace = beside(classes, older, between, newer)
    assert [one["end"] for one in ends] == ["finished"] * 3
    assert releases(trace) == [8, 9]
    told = event_of(by(trace, 7))
    assert (told.outcome, told.failed_stage) == ("aborted", "Release")
    why = "run 9 is newer and was released to prd meanwhile"
    assert (ends[0]["result"], ends[0]["description"]) == ("ABORTED", why)
    assert of(by(trace, 7), "echo") == [
        f"nothing was released: {why}; start a new run with BRANCH {COMMIT} to release this source all the same"
    ]
    # No agent comes for what is not released, and the lock is free again.
    assert of(by(trace, 7)[at(by(trace, 7), 7, "locked") :], "node") == ["slipway"]
    assert of(by(trace, 7), "unlocked") == ["hello-prd"]


def test_a_newer_run_that_released_nothing_stops_no_older_one(classes: Path) -> None:
    older = scenario(EVERYTHING, number=7, holds=["the input", 8, "ended"])
    newer = scenario(EVERYTHING, number=8, begins=[7, "holds"], breaks="helm upgrade", how="failed")
    ends, trace = beside(classes, older, newer)
    assert [one["end"] for one in ends] == ["finished", "script returned exit code 1"]
    assert releases(trace) == [8, 7]
    assert event_of(by(trace, 7)).outcome == "success"


def test_machines_are_released_to_one_run_at_a_time_as_well(classes: Path) -> None:
    first = scenario(MACHINES, number=7, holds=["ci.deploy", 8, "waits"])
    ends, trace = beside(classes, first, scenario(MACHINES, number=8, begins=[7, "holds"]))
    assert [one["end"] for one in ends] == ["finished"] * 2
    assert at(trace, 7, "unlocked") < at(trace, 8, "locked")


def test_the_words_of_a_project_are_its_own(classes: Path) -> None:
    command = "sed -i s/@TAG@/@AUTH@/ 'it is'.txt"
    _, trace = run(classes, PLAIN + f'\nbuild: {{command: "{command}", artifact: x}}\n', "dev")
    [line] = [one for one in of(trace, "sh") if one.startswith("/bin/sh")]
    assert shlex.split(line) == ["/bin/sh", "-euc", command]


def test_names_of_strangers_run_nothing(classes: Path, tmp_path: Path) -> None:
    """A job, a branch and an author with all that shells, Groovy and JSON could read as their own."""
    hostile = "x'\"$(touch ran)`touch ran`${env}; touch ran #\\ ü"
    given = {**GIVEN, "environment": "dev", "branch": hostile}
    _, trace = run(classes, EVERYTHING, given=given, author=hostile, job=f"team/{hostile}")
    told = event_of(trace)
    assert told.author == hostile
    asked = [shlex.split(one) for one in of(trace, "sh") if one.startswith("slipway ci.stages")]
    assert asked and all(one[-2:] == ["--branch", hostile] for one in asked), asked
    programs = {one.split()[0] for one in of(trace, "sh")}
    assert programs == {"slipway", "git", "trivy", "/bin/sh", "install", "env", "rm", "skopeo", "helm"}
    files = {"SLIPWAY_AUTH": "", "SLIPWAY_WEBHOOK_0": "", "SLIPWAY_WEBHOOK_1": ""}
    for line in of(trace, "sh"):
        subprocess.run(["sh", "-euc", f"set -- {line}"], check=True, cwd=tmp_path, env={**os.environ, **files})
    assert list(tmp_path.iterdir()) == []


def test_a_notification_that_fails_fails_nothing(classes: Path) -> None:
    end, trace = run(classes, EVERYTHING, "dev", breaks="ci.notify", how="failed")
    assert end == "finished"
    assert of(trace, "echo") == ["the notification was not sent: script returned exit code 1"]


def test_a_project_file_with_faults_ends_the_run_at_once(classes: Path) -> None:
    end, trace = run(classes, EVERYTHING, breaks="ci.validate", how="failed")
    assert end == "script returned exit code 1"
    assert of(trace, "stage") == ["Fetch project"]
