"""The jsonnet side as a whole: the reference implementation agrees, and a patch that fails says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _jsonnet
import pytest
import rjsonnet

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.objects import ADDONS, cluster_argument, objects
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_argument, content
from tests.render.small import small_cluster


@pytest.mark.parametrize("case", ADDON_CASES, ids=lambda case: f"{case.addon}/{case.name}")
def test_the_reference_implementation_gives_the_same(case: AddonCase) -> None:
    argument = {"cluster": json.dumps(case_argument(case))}
    own = content(case).get("jsonnet", "{}")
    added = "if std.isFunction(own) then own(cluster) else own"
    text = f"local own = ({own}); function(cluster) (import 'main.jsonnet')(cluster) + ({added})"
    given: Any = {"jpathdir": [str(ADDONS)], "tla_codes": argument}
    reference = json.loads(_jsonnet.evaluate_snippet("case", text, **given))
    assert json.loads(rjsonnet.evaluate_snippet("case", text, **given)) == reference


def _own(root: Path, text: str) -> Path:
    (root / "clusters" / "small").mkdir(parents=True)
    (root / "clusters" / "small" / "addons.jsonnet").write_text(text)
    return root


FILE = "clusters/small/addons.jsonnet"
KNOB_FAULTS = [
    # What cluster.yaml says is out of reach, and says where.
    (
        "traefik: { hostPorts: { http: 22 } }",
        f"traefik.hostPorts: is set in cluster.yaml (at {FILE}:1:27); write it there",
    ),
    ("calico: { mode: 'ipip' }", f"calico.mode: is set in cluster.yaml (at {FILE}:1:26); write it there"),
    ("coredns: { replicas: -3 }", f"coredns.replicas: is set in cluster.yaml (at {FILE}:1:27); write it there"),
    ("dashboard: { enabled: true }", f"dashboard.enabled: is set in cluster.yaml (at {FILE}:1:29); write it there"),
    ("clusterRbac: { nodes: {} }", f"clusterRbac.nodes: is set in cluster.yaml (at {FILE}:1:31); write it there"),
    # Kinds.
    ("coredns: { plugins: null }", f"coredns.plugins: is null (at {FILE}:1:27); it must be a list of strings, like"),
    ("coredns: { plugins: ['a', 5] }", 'coredns.plugins: is the list ["a",5] (at'),
    ("coredns: { tolerations: ['a'] }", "it must be a list of maps, like"),
    ("coredns: { nodeSelector: { disk: 1 } }", "it must be a map of strings, like"),
    ("coredns: { maxConcurrent: -1 }", "coredns.maxConcurrent: is the number -1 (at"),
    ("coredns: { maxConcurrent: 1.5 }", "it must be a whole number, like 1000"),
    ("localPath: { nodePaths: { w: '/srv' } }", "it must be a map of lists of strings, like"),
    ("calico: { maxUnavailable: '10' }", "it must be a whole number or a percentage, like 1"),
    ("traefik: { priorityClassName: 5 }", "it must be null or a string, like"),
    ("coredns: 'x'", f"(at {FILE}:1:15); it must be a map, like"),
    # Quantities.
    ("coredns: { resources: { limits: { memory: '340mi' } } }", "coredns.resources.limits.memory: is the string"),
    ("coredns: { resources: { limits: { memory: '100m' } } }", "it must be a quantity of bytes, like"),
    ("coredns: { resources: { limits: { cpu: '1Mi' } } }", "it must be a quantity of CPU, like"),
    (
        "coredns: { resources: { limits: { memry: '1Mi' } } }",
        f"is no knob of this addon (at {FILE}:1:50); did you mean mem",
    ),
    ("coredns: { resources: { limit: { memory: '1Mi' } } }", "coredns.resources.limit: is no knob of this addon (at"),
    # An addon that is off is checked as well.
    (
        "dashboard: { tokenTL: 3 }",
        f"dashboard.tokenTL: is no knob of this addon (at {FILE}:1:29); did you mean tokenTTL?",
    ),
    ("etcdBackup: { suspend: 'no' }", f'etcdBackup.suspend: is the string "no" (at {FILE}:1:30); it must be a boolean'),
]


@pytest.mark.parametrize(("said", "message"), KNOB_FAULTS)
def test_a_fault_of_a_knob_is_said_in_the_clusters_own_file(tmp_path: Path, said: str, message: str) -> None:
    cluster = small_cluster()
    with pytest.raises(RenderError) as caught:
        objects(
            cluster, RequestMaterial(cluster), _own(tmp_path, f"{{ values+:: {{ {said.replace(':', '+:', 1)} }} }}")
        )
    found = str(caught.value)
    assert found.startswith("small: addons.") and message in found and "knobs.libsonnet" not in found


@pytest.mark.parametrize(
    "said",
    [
        "coredns+: { resources+: { limits+: { cpu: 1, 'ephemeral-storage': '1.5Gi' } } }",
        "metricsServer+: { resources+: { limits+: { memory: '1Gi' } } }",
        "calico+: { maxUnavailable: '25%', images+: { node: null } }, nodeLocalDNS+: { maxUnavailable: 2 }",
        "dashboard+: { ingressAnnotations+: { 'example.net/owner': 'platform' } }",
        "coredns: { plugins: ['log'] }",
        "gpuDevicePlugin+: { configuration: { flags: { deviceListStrategy: ['envvar'] } } }",
    ],
)
def test_what_a_knob_takes(tmp_path: Path, said: str) -> None:
    cluster = small_cluster()
    assert objects(cluster, RequestMaterial(cluster), _own(tmp_path, f"{{ values+:: {{ {said} }} }}"))


def test_a_resource_that_is_said_leaves_the_others(tmp_path: Path) -> None:
    cluster = small_cluster()
    root = _own(tmp_path, "{ values+:: { coredns+: { resources+: { limits+: { cpu: 1 } } } } }")
    (found,) = [
        one for one in objects(cluster, RequestMaterial(cluster), root)["30-coredns"] if one["kind"] == "Deployment"
    ]
    resources = found["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": 1, "memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}}


def test_a_key_that_stands_twice_is_placed_in_the_file_alone(tmp_path: Path) -> None:
    cluster = small_cluster()
    text = "// replicas: 1\n{ values+:: { coredns+: { replicas: 2 }, metricsServer+: { replicas: 2 } } }"
    with pytest.raises(RenderError, match=rf"replicas: is set in cluster.yaml \(at {FILE}\); write"):
        objects(cluster, RequestMaterial(cluster), _own(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{ values+:: { clusterRbacc+: {} } }",
            r"addons.clusterRbacc: is no addon \(at clusters/small/addons.jsonnet:1:15\); did you mean clusterRbac\?",
        ),
        ("{ a: 1,\n  b: nope }", r"variable is not defined: nope \(at clusters/small/addons.jsonnet:2:6\)"),
        ("{ nonsense", r"syntax error: .*\(at clusters/small/addons.jsonnet:1:11\)"),
        ("", r"syntax error: .* the end of the file \(at clusters/small/addons.jsonnet:1:2\)"),
        ("'text'", r"the file gives no map \(at clusters/small/addons.jsonnet\)"),
        ("{ '20-x': import 'lost.libsonnet' }", "can't resolve lost.libsonnet from clusters/small/addons.jsonnet"),
        # A fault in a function of theirs, which Slipway's jsonnet evaluates.
        (
            "{ local f(x) =\n  error 'no ' + x,\n  values+:: { coredns+: { maxConcurrent: f(1) } } }",
            r"no 1 \(at clusters/small/addons.jsonnet:2:3\)",
        ),
        (
            "function(cluster)\n  { values+:: { coredns+: { maxConcurrent: cluster.lost } } }",
            r"no such field: lost \(at clusters/small/addons.jsonnet:2:52\)",
        ),
        ("{ values:: { coredns: {} } }", r"`values` is given whole, .*; write values\+::"),
        ("{ '20-x': " + "[" * 2000 + "]" * 2000 + " }", "an object is nested too deep to be one"),
        ("{ values:: 5 }", r"`values` is given whole, .*; write values\+::"),
        ("{ sets:: 5 }", "the name sets is Slipway's own .*; take another"),
        (
            "{ '41-local-path'+: { deployment+: { spec+: {} } } }",
            "41-local-path.deployment is no API object; the addon localPath is off, so there is no set 41-local-path",
        ),
        ("{ '30-corednss'+: { deployment+: {} } }", r"no API object; did you mean the set 30-coredns\?"),
        ("{ '30-coredns': { deployment+: {} } }", r"30-coredns.deployment is no API object; .*write '30-coredns'\+:"),
        ("{ '30-coredns'+: { deployment: {} } }", r"30-coredns.deployment is no API object; .*write deployment\+:"),
        ("{ '30-coredns'+: { deploment+: {} } }", r"30-coredns.deploment is no API object; did you mean deployment\?"),
        (
            "{ values+:: { coredns+: { image: 'coredns/coredns:v1' } } }",
            r"the image 'coredns/coredns:v1' names no registry \(at clusters/small/addons.jsonnet:1:35\); write",
        ),
        ("{ values+:: { coredns+: { image: 'coredns:v1' } } }", r"; write .* like docker.io/library/coredns:v1"),
    ],
)
def test_a_patch_that_fails_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RenderError, match=f"^small: {'' if message.startswith('addons.') else 'addons: .*'}{message}"):
        objects(small_cluster(), RequestMaterial(small_cluster()), _own(tmp_path, text))


def test_every_fact_that_jsonnet_knows_is_documented() -> None:
    page = (ADDONS.parent / "docs" / "addons.md").read_text(encoding="utf-8")
    section = page.partition("## What jsonnet knows of the cluster")[2].partition("\n## ")[0]
    told = {
        name.strip("` ")
        for line in section.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].split(",")
    }
    assert told == {*cluster_argument(small_cluster()), "certificates", "secretIds"}
