"""The jsonnet side as a whole: the reference implementation agrees, and a patch that fails says where."""

from __future__ import annotations

import json
from pathlib import Path

import _jsonnet
import pytest
import rjsonnet

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.object_secrets import secret_facts
from generator.render.objects import ADDONS, cluster_argument, objects
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster
from tests.render.small import small_cluster


@pytest.mark.parametrize("case", ADDON_CASES, ids=lambda case: f"{case.addon}/{case.name}")
def test_the_reference_implementation_gives_the_same(case: AddonCase) -> None:
    cluster = case_cluster(case)
    facts = {**cluster_argument(cluster), **secret_facts(cluster, RequestMaterial(cluster))}
    argument = {"cluster": json.dumps(facts)}
    main = str(ADDONS / "main.jsonnet")
    reference = json.loads(_jsonnet.evaluate_file(main, tla_codes=argument))
    assert json.loads(rjsonnet.evaluate_file(main, tla_codes=argument)) == reference


def _own(root: Path, text: str) -> Path:
    (root / "clusters" / "small").mkdir(parents=True)
    (root / "clusters" / "small" / "addons.jsonnet").write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ values+:: { clusterRbacc+: {} } }", r"addons.clusterRbacc: is no addon; did you mean clusterRbac\?"),
        ("{ a: 1,\n  b: nope }", r"variable is not defined: nope \(at clusters/small/addons.jsonnet:2:6\)"),
        ("{ nonsense", r"syntax error: .*\(at clusters/small/addons.jsonnet:1:11\)"),
        ("", r"syntax error: .* the end of the file \(at clusters/small/addons.jsonnet:1:2\)"),
        ("'text'", "the file gives no map"),
        ("{ '20-x': import 'lost.libsonnet' }", "can't resolve lost.libsonnet from clusters/small/addons.jsonnet"),
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
