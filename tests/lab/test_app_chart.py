"""The chart of all services on a real cluster: helm installs, scales, upgrades, fails and rolls back a hello-world.

Pods run the lab's busybox, whose httpd serves the page that is a file of the release's `config`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.render.charts import CHARTS, chart
from tests.ci.helm import program, surroundings
from tests.lab.cluster_under_test import Completed, LabCluster, until

pytestmark = pytest.mark.lab_long

NAMESPACE = "apps-dev"
RELEASE = "hello"
NODES = ("cp1", "cp2", "cp3", "w1", "w2")
HELLO: dict[str, Any] = {
    "image": {"repository": "slipway.lab/busybox", "tag": "1"},
    "command": ["/bin/busybox", "httpd", "-f", "-p", "8080", "-h", "/config"],
    "config": {"index.html": "hello one\n"},
    "writable": ["/tmp"],
    "env": {"GREETING": "$(HOME) $$ $HOME"},
    "health": {"kind": "http", "path": "/index.html", "initialDelaySeconds": 0, "periodSeconds": 1},
    "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
}
EVERYTHING: dict[str, Any] = {
    **HELLO,
    "autoscaling": {"enabled": True, "min": 2, "max": 4, "cpuPercent": 80},
    "ingress": {"enabled": True, "host": "hello.example.net", "tls": {"secretName": "hello-tls"}},
    "envFrom": {"secrets": ["hello-db"]},
    "pullSecrets": ["registry-pull"],
    "networkPolicy": {"from": [{"namespaceSelector": {}}]},
}
"""What makes an object of every kind that the chart has."""


class Helm:
    """helm on the cluster, with the package of the chart."""

    def __init__(self, lab: LabCluster, folder: Path) -> None:
        found = program()
        if found is None:
            pytest.skip("helm is not installed, and the one of `make setup` is for Linux on x86-64")
        self.lab = lab
        self.program = found
        self.folder = folder
        made = chart(CHARTS / "app")
        self.package = folder / Path(made.path).name
        self.package.write_bytes(made.package)

    def run(self, *words: str, values: dict[str, Any] | None = None) -> Completed:
        command = [str(self.program), f"--kubeconfig={self.lab.admin_kubeconfig()}", f"--namespace={NAMESPACE}", *words]
        if values is not None:
            file = self.folder / "values.json"
            file.write_text(json.dumps(values))
            command.append(f"--values={file}")
        own = {name: value for name, value in surroundings().items() if name.startswith("HELM_")}
        return self.lab._run_in_lab(command, own)

    def done(self, *words: str, values: dict[str, Any] | None = None) -> str:
        ran = self.run(*words, values=values)
        assert ran.returncode == 0, f"helm {' '.join(words)}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def upgrade(self, values: dict[str, Any], *words: str) -> Completed:
        return self.run("upgrade", RELEASE, str(self.package), "--timeout=180s", *words, values=values)


@pytest.fixture(scope="module")
def helm(lab: LabCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helm]:
    made = Helm(lab, tmp_path_factory.mktemp("chart"))
    lab.kubectl("create", "namespace", NAMESPACE)
    yield made
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=180s")


def pods(lab: LabCluster) -> dict[str, dict[str, Any]]:
    """The pods of the release that nobody has told to end, by name."""
    listed = lab.kubectl_json("get", "pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}")["items"]
    return {pod["metadata"]["name"]: pod for pod in listed if "deletionTimestamp" not in pod["metadata"]}


def pages(lab: LabCluster) -> set[str]:
    """What the Service answers, asked from every node."""
    address = lab.kubectl_json("get", "service", "-n", NAMESPACE, RELEASE)["spec"]["clusterIP"]
    return {lab.try_sh(host, f"curl -sS --max-time 5 http://{address}/").stdout.strip() for host in NODES}


def endpoints(lab: LabCluster) -> set[str]:
    found = lab.kubectl_json("get", "endpoints", "-n", NAMESPACE, RELEASE)
    return {one["ip"] for subset in found.get("subsets") or () for one in subset.get("addresses") or ()}


def test_the_server_takes_everything_in_a_dry_run_and_keeps_nothing(lab: LabCluster, helm: Helm) -> None:
    said = helm.done("install", RELEASE, str(helm.package), "--dry-run=server", values=EVERYTHING)
    assert "kind: HorizontalPodAutoscaler" in said and "kind: Ingress" in said
    version = lab.kubectl_json("version")["serverVersion"]["gitVersion"]
    text = helm.done("template", RELEASE, str(helm.package), f"--kube-version={version}", values=EVERYTHING)
    sent = lab.kubectl("create", "-n", NAMESPACE, "--dry-run=server", stdin=text)
    assert sent.count("created (server dry run)") == text.count("\nkind: ") == 8
    assert not pods(lab) and helm.done("list", "--short").strip() == ""


def test_hello_runs_and_is_reached_through_its_service(lab: LabCluster, helm: Helm) -> None:
    helm.done("install", RELEASE, str(helm.package), "--wait", "--timeout=180s", values=HELLO)
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
    found = lab.kubectl("exec", "-n", NAMESPACE, pod, "--", "/bin/busybox", "printenv", "GREETING")
    assert found.rstrip("\n") == HELLO["env"]["GREETING"]


PROJECT = {
    "apiVersion": "slipway.io/v1", "kind": "Project", "metadata": {"name": RELEASE}, "namespace": "apps",
    "git": {"url": "https://git.example.net/team/hello.git"}, "language": "go",
    "environments": {"dev": {"domain": "hello.dev.example.net"}},
}  # fmt: skip
"""The project of the release; its namespace in dev is that of these tests."""


def of_the_release(lab: LabCluster, verb: str, *words: str, after: tuple[str, ...] = ()) -> Completed:
    """Run a verb for the release, through SSH with a certificate of its own; `after` follows --."""
    file = lab.workspace.parent / f"{RELEASE}.yaml"
    file.write_text(json.dumps(PROJECT))
    last = ["--cluster", lab.name, *(["--", *after] if after else [])]
    return lab.invoke(verb, "--project", str(file), "--env", "dev", *words, *last)


def test_its_logs_are_read_through_the_api(lab: LabCluster, helm: Helm) -> None:
    for name in pods(lab):
        script = f"echo said by {name} > /proc/1/fd/1"
        lab.kubectl("exec", "-n", NAMESPACE, name, "--", "/bin/busybox", "sh", "-c", script)
    until(lambda: of_the_release(lab, "ci.logs").stdout.count("said by") == 2, 30)
    said = of_the_release(lab, "ci.logs")
    assert set(said.stdout.splitlines()) >= {f"{name}/app: said by {name}" for name in pods(lab)}, said.stderr
    found = json.loads(of_the_release(lab, "ci.logs", "--tail", "1", "--json").stdout)
    assert {one["name"] for one in found["pods"]} == set(pods(lab)) and all(one["ready"] for one in found["pods"])
    assert [one["containers"][0]["lines"][-1]["text"] for one in found["pods"]] == [
        f"said by {one['name']}" for one in found["pods"]
    ]


def test_a_program_runs_in_its_container(lab: LabCluster, helm: Helm) -> None:
    script = "cat /config/index.html; echo no >&2; exit 3"
    ran = of_the_release(lab, "ci.shell", after=("/bin/busybox", "sh", "-c", script))
    assert (ran.returncode, ran.stdout) == (3, "hello one\n") and ran.stderr.endswith("no\n")
    found = json.loads(of_the_release(lab, "ci.shell", "--json", after=("/bin/busybox", "id", "-u")).stdout)
    assert (found["stdout"], found["code"]) == ("10001\n", 0) and found["pod"] in pods(lab)
    missing = of_the_release(lab, "ci.shell", after=("/bin/nothing",))
    assert missing.returncode == 1 and "the image has no /bin/nothing" in missing.stderr, missing.stderr


def test_it_is_scaled_and_no_pod_of_before_goes(lab: LabCluster, helm: Helm) -> None:
    before = set(pods(lab))
    done = helm.upgrade({**HELLO, "replicas": 3}, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert before < set(pods(lab)) and len(pods(lab)) == 3
    until(lambda: len(endpoints(lab)) == 3, 30)


def test_it_is_upgraded(lab: LabCluster, helm: Helm) -> None:
    before = set(pods(lab))
    done = helm.upgrade({**HELLO, "replicas": 3, "config": {"index.html": "hello two\n"}}, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: pages(lab) == {"hello two"}, 60)
    assert not before & set(pods(lab)), "a change of a file starts new pods"


def test_an_upgrade_that_fails_is_taken_back_and_never_serves_less(lab: LabCluster, helm: Helm) -> None:
    before = set(pods(lab))
    broken = {**HELLO, "replicas": 3, "command": ["/bin/busybox", "false"], "config": {"index.html": "hello three\n"}}
    done = helm.upgrade(broken, "--rollback-on-failure", "--timeout=45s")
    assert done.returncode != 0
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
