"""The real helm on the chart: it is sound, and makes objects that every minor takes."""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from generator.ci.values import values
from tests.addons.schemas import EVERY_MINOR, check
from tests.ci.chart_values import FULL, SMALL, changed
from tests.ci.helm import helm, members, program, template
from tests.ci.samples import EVERYTHING, sample
from tests.golden.chart_cases import APP, CHART_CASES, chart_values

CASES = [
    (case.project, environment)
    for case in CHART_CASES
    if case.project is not None
    for environment in case.project.project().environment_names
]


def made(given: Any, minor: str = "1.36", release: str = "hello") -> dict[str, dict[str, Any]]:
    """Return the objects of a release by their kind."""
    found = list(members(template(APP, release, given, minor)))
    by_kind = {member["kind"]: member for member in found}
    assert len(by_kind) == len(found)
    return by_kind


def pod(given: Any, minor: str = "1.36") -> dict[str, Any]:
    spec: dict[str, Any] = made(given, minor)["Deployment"]["spec"]["template"]["spec"]
    return spec


# What helm says of the chart itself


def test_helm_unpacked_from_the_archive_is_helm() -> None:
    assert helm("version", "--short").stdout.startswith("v")
    assert program() == program()


@pytest.mark.parametrize("given", [None, SMALL, FULL], ids=["defaults", "small", "full"])
def test_the_chart_is_sound(given: Any) -> None:
    done = helm("lint", "--strict", str(APP), values=given)
    assert done.returncode == 0 and "1 chart(s) linted, 0 chart(s) failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("case", "environment"), CASES, ids=lambda value: getattr(value, "name", value))
def test_the_chart_is_sound_with_the_values_of_each_project(case: Any, environment: str) -> None:
    done = helm("lint", "--strict", str(APP), values=chart_values(case, case.project(), environment))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_values_of_every_project_are_keys_of_the_chart() -> None:
    ours = yaml.safe_load((APP / "values.yaml").read_text())
    found = values(sample(EVERYTHING), "prd")
    assert found.keys() <= ours.keys()
    for key in ("image", "autoscaling", "envFrom", "health", "service", "ingress", "resources", "networkPolicy"):
        assert found[key].keys() <= ours[key].keys(), key


# What it makes


@pytest.mark.parametrize("minor", (EVERY_MINOR[0], EVERY_MINOR[-1]))
@pytest.mark.parametrize(("case", "environment"), CASES, ids=lambda value: getattr(value, "name", value))
def test_every_object_fits_the_schemas_of_the_api(case: Any, environment: str, minor: str) -> None:
    project = case.project()
    found = list(members(template(APP, project.name, chart_values(case, project, environment), minor)))
    assert {"Deployment", "Service", "ServiceAccount", "NetworkPolicy"} <= {member["kind"] for member in found}
    for member in found:
        check(member, minor)


@pytest.mark.parametrize("minor", EVERY_MINOR)
def test_all_kinds_fit_and_follow_the_minor(minor: str) -> None:
    found = made(FULL, minor)
    assert set(found) == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PodDisruptionBudget",
        "Service", "ServiceAccount",
    }  # fmt: skip
    for member in found.values():
        check(member, minor)
        assert member["metadata"]["name"] == "hello"
        assert member["metadata"]["labels"]["app.kubernetes.io/instance"] == "hello"


def test_a_minor_judges_what_another_takes() -> None:
    autoscaler = made(FULL, "1.23")["HorizontalPodAutoscaler"]
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        check(autoscaler, "1.22")
    for minor in ("1.24", "1.25"):
        with pytest.raises(jsonschema.ValidationError):
            check({**autoscaler, "spec": {**autoscaler["spec"], "maxReplica": 1}}, minor)


@pytest.mark.parametrize(
    ("minor", "autoscaler", "budget", "evicts", "waits"),
    [
        ("1.20", "autoscaling/v2beta2", "policy/v1beta1", False, False),
        ("1.21", "autoscaling/v2beta2", "policy/v1", False, False),
        ("1.22", "autoscaling/v2beta2", "policy/v1", False, False),
        ("1.23", "autoscaling/v2", "policy/v1", False, False),
        ("1.26", "autoscaling/v2", "policy/v1", False, False),
        ("1.27", "autoscaling/v2", "policy/v1", True, False),
        ("1.29", "autoscaling/v2", "policy/v1", True, False),
        ("1.30", "autoscaling/v2", "policy/v1", True, True),
    ],
)
def test_versions_follow_the_minor(minor: str, autoscaler: str, budget: str, evicts: bool, waits: bool) -> None:
    found = made(FULL, minor)
    assert found["HorizontalPodAutoscaler"]["apiVersion"] == autoscaler
    assert found["PodDisruptionBudget"]["apiVersion"] == budget
    assert ("unhealthyPodEvictionPolicy" in found["PodDisruptionBudget"]["spec"]) == evicts
    assert ("lifecycle" in found["Deployment"]["spec"]["template"]["spec"]["containers"][0]) == waits


def test_a_minor_that_is_too_old_is_refused() -> None:
    done = helm("template", "hello", str(APP), "--kube-version", "1.19.0", values=SMALL)
    assert done.returncode != 0 and "kubeVersion: >=1.20.0-0" in done.stderr


@pytest.mark.parametrize("given", [SMALL, FULL], ids=["small", "full"])
def test_pods_may_do_nothing_that_they_need_not(given: Any) -> None:
    spec = pod(given)
    assert spec["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert made(given)["ServiceAccount"]["automountServiceAccountToken"] is False


def test_a_low_port_is_opened_to_who_is_not_root() -> None:
    low = changed(SMALL, "service", "targetPort", to=80)
    assert pod(low, "1.22")["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    ]
    check(made(low, "1.22")["Deployment"], "1.22")
    assert "sysctls" not in pod(changed(SMALL, "service", "targetPort", to=1024), "1.22")["securityContext"]
    done = helm("template", "hello", str(APP), "--kube-version", "1.21.14", values=low)
    assert done.returncode != 0 and "hello: service.targetPort below 1024 is for root alone" in done.stderr


def test_amounts_may_be_numbers() -> None:
    given = {"requests": {"cpu": 0.5, "memory": "64Mi"}, "limits": {"cpu": 2, "nvidia.com/gpu": 1}}
    (container,) = pod({**SMALL, "resources": given})["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "0.5", "memory": "64Mi"},
        "limits": {"cpu": "2", "nvidia.com/gpu": "1"},
    }


def test_an_account_of_its_own_can_be_left_out() -> None:
    found = made(changed(SMALL, "serviceAccount", "create", to=False))
    assert "ServiceAccount" not in found
    assert found["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == "default"


def test_an_upgrade_never_has_fewer_pods_than_before() -> None:
    spec = made(SMALL)["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert (spec["replicas"], spec["revisionHistoryLimit"]) == (2, 3)
    assert "replicas" not in made(FULL)["Deployment"]["spec"]


def test_the_service_and_the_budget_mean_the_pods_of_the_release() -> None:
    found = made(SMALL)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        found["Service"]["spec"]["selector"],
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == {"app.kubernetes.io/name": "hello", "app.kubernetes.io/instance": "hello"}
        assert selector.items() <= labels.items()


@pytest.mark.parametrize(
    ("health", "asked"),
    [
        ({"kind": "tcp"}, {"tcpSocket": {"port": 8080}}),
        ({"kind": "tcp", "port": 9001}, {"tcpSocket": {"port": 9001}}),
        ({"kind": "http", "path": "/ok?a=1"}, {"httpGet": {"path": "/ok?a=1", "port": 8080, "scheme": "HTTP"}}),
        ({"kind": "exec", "command": ["/app/x", "$(A) $$"]}, {"exec": {"command": ["/app/x", "$$(A) $$$$"]}}),
    ],
)
def test_all_probes_ask_the_same(health: dict[str, Any], asked: dict[str, Any]) -> None:
    given = {**SMALL, "health": {**health, "initialDelaySeconds": 7, "periodSeconds": 8, "timeoutSeconds": 2}}
    (container,) = pod(given)["containers"]
    common = {**asked, "periodSeconds": 8, "timeoutSeconds": 2}
    # 300 seconds may pass until a start has failed.
    assert container["startupProbe"] == {**common, "initialDelaySeconds": 7, "failureThreshold": 38}
    assert container["readinessProbe"] == {**common, "failureThreshold": 3}
    assert container["livenessProbe"] == {**common, "failureThreshold": 6}


def test_a_program_writes_only_where_it_was_let() -> None:
    spec = pod({**FULL, "writable": ["/tmp", "/var/cache/hello"]})
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": "writable-0", "mountPath": "/tmp"},
        {"name": "writable-1", "mountPath": "/var/cache/hello"},
        {"name": "config", "mountPath": "/config", "readOnly": True},
    ]
    assert spec["volumes"] == [
        {"name": "writable-0", "emptyDir": {}},
        {"name": "writable-1", "emptyDir": {}},
        {"name": "config", "configMap": {"name": "hello"}},
    ]


def test_a_change_of_a_file_starts_new_pods_and_nothing_else_does() -> None:
    def annotations(given: Any) -> Any:
        return made(given)["Deployment"]["spec"]["template"]["metadata"].get("annotations")

    assert annotations(SMALL) is None
    first = annotations(FULL)
    assert set(first) == {"checksum/config", "prometheus.io/scrape"}
    assert annotations(changed(FULL, "config", "b", to="other")) != first
    assert annotations(changed(FULL, "replicas", to=9)) == first
    assert made(FULL)["ConfigMap"]["data"] == FULL["config"]


def expanded(text: str) -> str:
    """Return what the kubelet makes of a text with the variables of a container, none of which is called as here.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/: $$ is one $.
    """
    return text.replace("$$", "$")


def test_texts_arrive_word_for_word() -> None:
    texts = [
        "", " ", "null", "true", "1e3", "0x10", "~", "- a", "{a: b}", "# no", "'", '"', "\\", "\\n", "a\nb\n", "\t",
        "$", "$$", "$(A)", "$${A}", "{{ .Release.Name }}", "ü😀", "!!int 1", "&a *a", "|", ">-", "%", "@", "`id`",
        "yes", "012",
    ]  # fmt: skip
    env = {f"V{number}": text for number, text in enumerate(texts)}
    (container,) = pod({**SMALL, "env": env, "command": texts})["containers"]
    assert {one["name"]: expanded(one["value"]) for one in container["env"]} == env
    assert [expanded(word) for word in container["command"]] == texts


@pytest.mark.parametrize("number", [1, 10001, 999999, 1000000, 2147483647])
def test_large_numbers_stay_numbers(number: int) -> None:
    assert pod({**SMALL, "user": number})["securityContext"]["runAsUser"] == number


@pytest.mark.parametrize("release", ["true", "null", "on", "a" * 53, "x-1"])
def test_a_release_of_any_name_that_is_one_has_objects(release: str) -> None:
    for minor in ("1.20", "1.36"):
        for member in made(FULL, minor, release).values():
            check(member, minor)
            assert member["metadata"]["name"] == release


@pytest.mark.parametrize(
    ("tag", "label"), [("1.2_3", "1.2_3"), ("_1-", None), ("v" * 128, "v" * 63), ("a.-", "a"), ("", None)]
)
def test_a_tag_becomes_a_label_as_far_as_it_can(tag: str, label: str | None) -> None:
    given = {"image": {"repository": "r.example.net/x", "tag": tag, "digest": f"sha256:{'a' * 64}"}}
    found = made(given)
    assert found["Deployment"]["metadata"]["labels"].get("app.kubernetes.io/version") == label
    image = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"r.example.net/x{f':{tag}' if tag else ''}@sha256:{'a' * 64}"
