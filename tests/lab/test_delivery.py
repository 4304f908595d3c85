"""Projects on a real cluster, by the commands that Slipway gives to the pipeline.

A hello-world is released, scaled, upgraded, failed and rolled back: its pods run the lab's busybox, whose httpd serves
the page that is a file of the release's `config`. Then a Go program goes all the way from its source: built without
root, pushed to a real registry, pulled by its digest, asked through its Service.

Helm works with the token of the account `deployer`, in the namespace of the environment as Jenkins' set makes it, so
what the Role leaves out would fail here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from generator.ci.dockerfile import base_images
from generator.ci.languages import SCRATCH
from generator.ci.project import load_project_file
from lab import registry
from tests.lab.cluster_under_test import Completed, LabCluster, until
from tests.lab.delivery import AGENTS, DEPLOYER, NAMESPACE, Agent, Builder, Helm, builder, environment, login

pytestmark = pytest.mark.lab

RELEASE = "hello"
NODES = ("cp1", "cp2", "cp3", "w1", "w2")
IMAGE = "slipway.lab/busybox:1"
SERVES = ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/config"]
GREETING = "$(HOME) $$ $HOME"
PROJECT: dict[str, Any] = {
    "apiVersion": "slipway.io/v1", "kind": "Project", "metadata": {"name": RELEASE},
    "git": {"url": "https://git.example.net/team/hello.git"}, "language": "go",
    "docker": {"file": "Dockerfile"}, "chart": {"values": "deploy/values.yaml"},
    "run": {"command": SERVES, "port": 8080, "writable": ["/tmp"], "env": {"GREETING": GREETING}},
    "health": {"path": "/index.html", "initialDelaySeconds": 0, "periodSeconds": 1},
    "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
    "environments": {"dev": {"domain": "hello.dev.example.net"}},
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "slipway.lab/busybox", "tag": "1"},
    "config": {"index.html": "hello\n"},
    "resources": {"requests": {"cpu": "10m"}},
    "autoscaling": {"enabled": True, "min": 2, "max": 4, "cpuPercent": 80},
    "ingress": {"enabled": True, "host": "hello.example.net", "tls": {"secretName": "hello-tls"}},
    "envFrom": {"secrets": ["hello-db"]},
    "pullSecrets": ["registry-pull"],
    "networkPolicy": {"from": [{"namespaceSelector": {}}]},
}
"""What makes an object of every kind that the chart has."""


class Release:
    """The project's source and file, and its release by the commands that Slipway gives to the pipeline."""

    def __init__(self, lab: LabCluster, helm: Helm, folder: Path) -> None:
        self.lab = lab
        self.agent = Agent(lab, helm)
        self.source, self.out = folder / "source", folder / "out"
        self.file = folder / f"{RELEASE}.yaml"
        self.overlay = self.source / PROJECT["chart"]["values"]
        self.overlay.parent.mkdir(parents=True)
        self.out.mkdir()
        self.write()

    def write(self, page: str = "hello one", replicas: int = 2, command: Sequence[str] = SERVES) -> None:
        self.overlay.write_text(json.dumps({"config": {"index.html": f"{page}\n"}}))
        changed = {"run": {**PROJECT["run"], "command": list(command)}, "scaling": {"replicas": replicas}}
        self.file.write_text(json.dumps({**PROJECT, **changed}))

    def verb(self, verb: str, *words: str, after: tuple[str, ...] = ()) -> Completed:
        """Run a verb for the release, through SSH with a certificate of its own; `after` follows --."""
        last = ["--cluster", self.lab.name, *(["--", *after] if after else [])]
        return self.lab.invoke(verb, "--project", str(self.file), "--env", "dev", *words, *last)

    def run(self, timeout: str = "180s") -> Completed:
        """Run the commands up to the first that fails; helm, which is the last, waits for `timeout`."""
        made = self.verb("ci.stages", "--push", "registry.example.net/apps", "--json")
        assert made.returncode == 0, made.stderr
        release = json.loads(made.stdout)["release"]
        assert (release["name"], release["namespace"]) == (RELEASE, NAMESPACE)
        known = {"IMAGE": IMAGE, "WORK": str(self.source), "OUT": str(self.out)}
        return self.agent.run(release["commands"], known, timeout)

    def done(self) -> None:
        ran = self.run()
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def helm(lab: LabCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    lab.kubectl("create", stdin="---\n".join(environment()))
    yield Helm(lab, tmp_path_factory.mktemp("chart"))
    # That takes its time, and nobody after these tests needs the names.
    lab.kubectl("delete", "namespace", NAMESPACE, AGENTS, "--wait=false")


@pytest.fixture(scope="module")
def release(lab: LabCluster, helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(lab, helm, tmp_path_factory.mktemp("release"))


def pods(lab: LabCluster, release: str = RELEASE) -> dict[str, dict[str, Any]]:
    """The pods of the release that nobody has told to end, by name."""
    listed = lab.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={release}")["items"]
    return {pod["metadata"]["name"]: pod for pod in listed if "deletionTimestamp" not in pod["metadata"]}


def pages(lab: LabCluster, release: str = RELEASE) -> set[str]:
    """What the Service answers, asked from every node."""
    address = lab.kubectl_json("get", "service", "-n", NAMESPACE, release)["spec"]["clusterIP"]
    return {lab.try_sh(host, f"curl -sS --max-time 5 http://{address}/").stdout.strip() for host in NODES}


def endpoints(lab: LabCluster) -> set[str]:
    found = lab.kubectl_json("get", "endpoints", "-n", NAMESPACE, RELEASE)
    return {one["ip"] for subset in found.get("subsets") or () for one in subset.get("addresses") or ()}


def test_the_server_takes_everything_in_a_dry_run_and_keeps_nothing(lab: LabCluster, helm: Helm) -> None:
    said = helm.done("install", RELEASE, str(helm.package), "--dry-run=server", values=EVERYTHING)
    assert "kind: HorizontalPodAutoscaler" in said and "kind: Ingress" in said
    version = lab.kubectl_json("version")["serverVersion"]["gitVersion"]
    text = helm.done("template", RELEASE, str(helm.package), f"--kube-version={version}", values=EVERYTHING)
    sent = lab.kubectl("create", "-n", NAMESPACE, "--dry-run=server", f"--as={DEPLOYER}", stdin=text)
    assert sent.count("created (server dry run)") == text.count("\nkind: ") == 8
    assert not pods(lab) and helm.done("list", "--short").strip() == ""


def test_its_account_may_do_nothing_beside_releases(lab: LabCluster, helm: Helm) -> None:
    def may(*words: str) -> str:
        return lab.try_kubectl("auth", "can-i", f"--as={DEPLOYER}", *words).stdout.strip()

    assert may("create", "deployments", "-n", NAMESPACE) == "yes"
    for words in (
        ("create", "pods", "-n", NAMESPACE), ("create", "pods/exec", "-n", NAMESPACE),
        ("create", "roles", "-n", NAMESPACE), ("create", "deployments", "-n", "default"),
        ("get", "secrets", "-n", AGENTS), ("get", "secrets", "-n", "kube-system"), ("get", "nodes"),
    ):  # fmt: skip
        assert may(*words) == "no", words


def test_hello_runs_and_is_reached_through_its_service(lab: LabCluster, release: Release) -> None:
    release.done()
    assert len(pods(lab)) == 2 and {pod["status"]["phase"] for pod in pods(lab).values()} == {"Running"}
    until(lambda: pages(lab) == {"hello one"}, 60)


def test_its_pods_are_on_two_nodes(lab: LabCluster, helm: Helm) -> None:
    assert len({pod["spec"]["nodeName"] for pod in pods(lab).values()}) == 2


def test_its_program_may_do_nothing_that_it_need_not(lab: LabCluster, helm: Helm) -> None:
    pod = next(iter(pods(lab)))

    def inside(script: str) -> str:
        return lab.kubectl("exec", "-n", NAMESPACE, pod, "--", "/bin/busybox", "sh", "-c", script).strip()

    assert inside("id -u; id -g").split() == ["10001", "10001"]
    assert inside("for file in /x /config/x /www/x; do touch $file 2>/dev/null && echo $file; done; true") == ""
    assert inside("touch /tmp/x && echo written") == "written"
    assert inside("ls /var/run/secrets 2>/dev/null || echo none") == "none"
    assert inside("grep -E '^(NoNewPrivs|CapEff|Seccomp):' /proc/1/status").split() == [
        "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2",
    ]  # fmt: skip


def test_a_variable_arrives_word_for_word(lab: LabCluster, helm: Helm) -> None:
    pod = next(iter(pods(lab)))
    found = lab.kubectl("exec", "-n", NAMESPACE, pod, "--", "/bin/busybox", "sh", "-c", 'printf %s "$GREETING"')
    assert found == GREETING


def test_its_logs_are_read_through_the_api(lab: LabCluster, release: Release) -> None:
    for name in pods(lab):
        script = f"echo said by {name} > /proc/1/fd/1"
        lab.kubectl("exec", "-n", NAMESPACE, name, "--", "/bin/busybox", "sh", "-c", script)
    until(lambda: release.verb("ci.logs").stdout.count("said by") == 2, 30)
    said = release.verb("ci.logs")
    assert set(said.stdout.splitlines()) >= {f"{name}/app: said by {name}" for name in pods(lab)}, said.stderr
    found = json.loads(release.verb("ci.logs", "--tail", "1", "--json").stdout)
    assert {one["name"] for one in found["pods"]} == set(pods(lab)) and all(one["ready"] for one in found["pods"])
    assert [one["containers"][0]["lines"][-1]["text"] for one in found["pods"]] == [
        f"said by {one['name']}" for one in found["pods"]
    ]


def test_a_program_runs_in_its_container(lab: LabCluster, release: Release) -> None:
    script = "cat /config/index.html; echo no >&2; exit 3"
    ran = release.verb("ci.shell", after=("/bin/busybox", "sh", "-c", script))
    assert (ran.returncode, ran.stdout) == (3, "hello one\n") and ran.stderr.endswith("no\n")
    found = json.loads(release.verb("ci.shell", "--json", after=("/bin/busybox", "id", "-u")).stdout)
    assert (found["stdout"], found["code"]) == ("10001\n", 0) and found["pod"] in pods(lab)
    missing = release.verb("ci.shell", after=("/bin/nothing",))
    assert missing.returncode == 1 and "the image has no /bin/nothing" in missing.stderr, missing.stderr


def test_it_is_scaled_and_no_pod_of_before_goes(lab: LabCluster, release: Release) -> None:
    before = set(pods(lab))
    release.write(replicas=3)
    release.done()
    assert before < set(pods(lab)) and len(pods(lab)) == 3
    until(lambda: len(endpoints(lab)) == 3, 30)


def test_it_is_upgraded(lab: LabCluster, release: Release) -> None:
    before = set(pods(lab))
    release.write("hello two", replicas=3)
    release.done()
    until(lambda: pages(lab) == {"hello two"}, 60)
    assert not before & set(pods(lab)), "a change of a file starts new pods"


def test_an_upgrade_that_fails_is_taken_back_and_never_serves_less(
    lab: LabCluster, release: Release, helm: Helm
) -> None:
    before = set(pods(lab))
    release.write("hello three", replicas=3, command=["/bin/busybox", "false"])
    assert release.run(timeout="25s").returncode != 0
    assert before <= set(pods(lab)), "the pods of before were there all the time"
    assert pages(lab) == {"hello two"}
    history = json.loads(helm.done("history", RELEASE, "--output=json"))
    assert [one["status"] for one in history][-2:] == ["failed", "deployed"]


def test_it_is_rolled_back_to_its_first_revision(lab: LabCluster, helm: Helm) -> None:
    helm.done("rollback", RELEASE, "1", "--wait", "--timeout=180s")
    until(lambda: pages(lab) == {"hello one"}, 60)
    until(lambda: len(pods(lab)) == 2, 60)


def test_it_leaves_nothing(lab: LabCluster, helm: Helm) -> None:
    helm.done("uninstall", RELEASE, "--wait", "--timeout=120s")
    kinds = "deployment,replicaset,service,serviceaccount,networkpolicy,poddisruptionbudget,configmap"
    ours = ("-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}")
    until(lambda: lab.kubectl_json("get", kinds, *ours)["items"] == [], 60)


GREETER: dict[str, Any] = {
    "apiVersion": "slipway.io/v1", "kind": "Project", "metadata": {"name": "greeter"},
    "git": {"url": "https://git.example.net/team/greeter.git"}, "language": "go",
    "run": {"port": 8080, "env": {"GREETING": "good evening"}},
    "health": {"path": "/healthz", "initialDelaySeconds": 0, "periodSeconds": 1},
    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
    "environments": {"dev": {"domain": "greeter.dev.example.net"}},
}  # fmt: skip
PROGRAM = """package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "well") })
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "%s, from %d\\n", os.Getenv("GREETING"), os.Getuid())
	})
	panic(http.ListenAndServe(":8080", nil))
}
"""
COMMIT = "3f2a9c1b7d40" + "0" * 28
TAG = f"{COMMIT[:12]}-1"


class Line:
    """The way of a Go program from its source to a pod, and what is known on it so far."""

    def __init__(self, lab: LabCluster, agent: Agent, made: Builder, password: str) -> None:
        self.lab = lab
        self.agent = agent
        self.builder = made
        self.file = made.folder / "greeter.yaml"
        self.file.write_text(json.dumps(GREETER))
        source = made.folder / "source"
        (source / "main.go").write_text(PROGRAM)
        (source / "go.mod").write_text("module example.net/greeter\n\ngo 1.19\n")
        planned = lab.invoke("ci.stages", "--project", str(self.file), "--env", "dev", "--json")
        assert planned.returncode == 0, planned.stderr
        self.plan = json.loads(planned.stdout)
        # What only root may read the agent gets from Jenkins as a file of its own.
        self.auth = login(made.folder, password)
        made.own(self.auth)
        self.known = {
            "WORK": str(source), "OUT": str(made.folder / "out"), "TAG": TAG, "COMMIT": COMMIT, "AUTH": str(self.auth),
        }  # fmt: skip
        (base,) = set(base_images(load_project_file(self.file))) - {SCRATCH}
        made.base(base)


@pytest.fixture(scope="module")
def line(lab: LabCluster, helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The line, with a registry that all nodes trust after one apply."""
    password = secrets.token_urlsafe(16)
    with registry.serving(tmp_path_factory.mktemp("registry"), "ci", password) as authority:
        (lab.inputs / "registry-ca.crt").write_bytes(authority.read_bytes())
        before = lab.unit_starts(NODES)
        lab.edit_spec(trusting)
        lab.commit("a registry")
        for words in (("render",), ("apply", "--yes")):
            done = lab.invoke(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        lab.commit("render the registry")
        assert lab.unit_starts(NODES) == before, "a registry more restarts nothing"
        with builder(lab, authority) as made:
            yield Line(lab, Agent(lab, helm, made), made, password)


def trusting(spec: dict[str, Any]) -> None:
    registries = [{"host": registry.HOST, "caFile": "registry-ca.crt"}]
    spec.setdefault("runtime", {})["registries"] = registries
    push = {"registry": f"{registry.HOST}/apps", "pullSecret": "registry-pull"}
    # Off: the settings of the pipeline are all that is asked for here.
    spec.setdefault("addons", {})["jenkins"] = {"enabled": False, "builder": "buildah", "push": push}


def test_source_becomes_an_image_without_root(line: Line) -> None:
    image = line.plan["image"]
    line.agent.done([*image["dockerfile"], *image["build"]], line.known)
    archive = line.builder.folder / "out" / "image.tar"
    assert archive.owner() != "root" and archive.stat().st_size > 1_000_000
    seen = line.builder.run("skopeo", "inspect", "--config", f"docker-archive:{archive}")
    assert seen.returncode == 0, seen.stderr
    config = json.loads(seen.stdout)["config"]
    assert (config["User"], config["Entrypoint"]) == ("10001:10001", ["/app/greeter"])
    assert config["Labels"]["org.opencontainers.image.revision"] == COMMIT


def test_it_is_pushed_by_its_login_and_by_no_other(line: Line) -> None:
    right = line.auth.read_text()
    login(line.builder.folder, "wrong")
    refused = line.agent.run(line.plan["image"]["push"], line.known)
    assert refused.returncode != 0 and "unauthorized" in refused.stderr, refused.stderr
    line.auth.write_text(right)
    line.agent.done(line.plan["image"]["push"], line.known)
    digest = (line.builder.folder / "out" / "digest").read_text().strip()
    line.known["IMAGE"] = f"{line.plan['image']['repository']}:{TAG}@{digest}"
    assert digest.startswith("sha256:")


def test_it_is_pulled_by_its_digest_and_answers(lab: LabCluster, line: Line) -> None:
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry-pull", "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": line.auth.read_text()},
    }  # fmt: skip
    lab.kubectl("create", stdin=json.dumps(secret))
    line.agent.done(line.plan["release"]["commands"], line.known)
    until(lambda: pages(lab, "greeter") == {"good evening, from 10001"}, 60)
    (image,) = {one["spec"]["containers"][0]["image"] for one in pods(lab, "greeter").values()}
    assert image == line.known["IMAGE"]
    line.agent.helm.done("uninstall", "greeter", "--wait", "--timeout=120s")
