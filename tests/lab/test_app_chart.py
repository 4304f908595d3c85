"""A hello-world on a real cluster: released by the pipeline's own commands, scaled, upgraded, failed and rolled back.

Helm works with the token of the account `deployer`, in the namespace of the environment as Jenkins' set makes it, so
what the Role leaves out would fail here. Pods run the lab's busybox, whose httpd serves the page that is a file of the
release's `config`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.render.charts import CHARTS, chart
from tests.ci.helm import program, surroundings
from tests.golden.addon_cases import AddonCase
from tests.lab.cluster_under_test import Completed, LabCluster, until

pytestmark = pytest.mark.lab

NAMESPACE = "apps-dev"
AGENTS = "jenkins-agents"
DEPLOYER = f"system:serviceaccount:{AGENTS}:deployer"
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
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(self._of_the_account()))

    def _of_the_account(self) -> dict[str, Any]:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"/api/v1/namespaces/{AGENTS}/serviceaccounts/deployer/token"
        token = json.loads(self.lab.kubectl("create", "--raw", path, stdin=json.dumps(asked)))["status"]["token"]
        found: dict[str, Any] = yaml.safe_load(self.lab.admin_kubeconfig().read_text())
        found["users"] = [{"name": one["name"], "user": {"token": token}} for one in found["users"]]
        return found

    def run(self, *words: str, values: dict[str, Any] | None = None) -> Completed:
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}", *words]
        if values is not None:
            file = self.folder / "values.json"
            file.write_text(json.dumps(values))
            command.append(f"--values={file}")
        return self.lab.in_lab(command, {key: text for key, text in surroundings().items() if key.startswith("HELM_")})

    def done(self, *words: str, values: dict[str, Any] | None = None) -> str:
        ran = self.run(*words, values=values)
        assert ran.returncode == 0, f"helm {' '.join(words)}: {ran.stdout}{ran.stderr}"
        return ran.stdout


class Release:
    """The project's source and file, and its release by the commands that Slipway gives to the pipeline."""

    def __init__(self, lab: LabCluster, helm: Helm, folder: Path) -> None:
        self.lab = lab
        self.helm = helm
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
        known = {"@IMAGE@": IMAGE, "@WORK@": str(self.source), "@OUT@": str(self.out)}
        for words in release["commands"]:
            filled = [reduce(lambda word, name: word.replace(name, known[name]), known, word) for word in words]
            match filled:
                case ["slipway", verb, *rest]:
                    done = self.lab.invoke(verb, *rest)
                case ["helm", *rest]:
                    rest[rest.index("--timeout") + 1] = timeout
                    done = self.helm.run(*rest)
                case _:
                    raise AssertionError(f"the agent has no {filled[0]} for a release")
            if done.returncode != 0:
                return done
        return done

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


def environment() -> Iterator[str]:
    """The objects of the environment and of its account, out of Jenkins' set."""
    files = AddonCase("jenkins", "default").files()
    own = re.compile(rf"Namespace-({NAMESPACE}|{AGENTS})|\w+-{NAMESPACE}-.*|ServiceAccount-{AGENTS}-deployer")
    found = [text.decode() for path, text in sorted(files.items()) if own.fullmatch(Path(path).stem)]
    kinds = Counter(yaml.safe_load(text)["kind"] for text in found)
    assert kinds == {"Namespace": 2, "NetworkPolicy": 3, "Role": 1, "RoleBinding": 1, "ServiceAccount": 1}
    # Namespaces come first in it, as they must.
    yield from found


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
