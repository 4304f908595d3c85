"""Claims of addons: which way a volume comes, what nothing would bind, and what the objects say."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest
import rjsonnet
from pydantic import ValidationError

from generator.render.objects import ADDONS
from generator.spec.addons.storage import ClaimSpec, StorageSpec, check_claim
from generator.spec.faults import Findings
from generator.spec.yaml_source import read_document
from tests.render.small import small_cluster

PATH = ("addons", "localPath")
LOCAL = "addons: {localPath: {enabled: true}}"
NFS = {"server": "10.9.0.1", "path": "/exports/backup"}


def found(claim: ClaimSpec, rest: str = "") -> tuple[str, str]:
    """Return what is refused and what is warned about."""
    findings = Findings(read_document("addons: {}\n", "cluster.yaml")[0], lambda path: None)
    check_claim(small_cluster(rest=rest), findings, PATH, claim)
    return "\n".join(map(str, findings.faults)), "\n".join(findings.warning_texts())


def spec(**fields: Any) -> StorageSpec:
    return StorageSpec.model_validate(fields)


@pytest.mark.parametrize(
    ("claim", "rest", "refused", "warned"),
    [
        (spec(), "", "", "nothing will bind this claim: there is no default class"),
        (spec(), LOCAL, "", ""),
        (spec(), "addons: {localPath: {enabled: true, defaultClass: false}}", "", "there is no default class"),
        (spec(storageClassName="local-path"), "", "", "there is no class local-path"),
        (spec(storageClassName="local-path"), LOCAL, "", ""),
        (spec(storageClassName="ceph-block"), "", "", ""),
        (spec(existingClaim="mine"), "", "", ""),
        (spec(accessModes=["ReadWriteMany"]), LOCAL, "which cannot be ReadWriteMany; use ReadWriteOnce", ""),
        (spec(accessModes=["ReadWriteMany"], storageClassName="ceph-fs"), LOCAL, "", ""),
        (spec(accessModes=["ReadWriteOnce"] * 2), LOCAL, "an access mode stands there twice", ""),
        (spec(accessModes=["ReadOnlyMany"]), LOCAL, "nothing could be written there; add a mode", ""),
        (spec(existingClaim="mine", storageClassName="x"), "", "storageClassName and existingClaim are different", ""),
        (spec(existingClaim="mine", nfs=NFS), "", "existingClaim and nfs are different volumes; name one", ""),
        (spec(nfs=NFS), "", "", "nodes mount NFS with nfs-common, which pool control, workers does not name"),
        (spec(nfs=NFS, accessModes=["ReadWriteMany"]), "system: {packages: {extra: [nfs-common]}}", "", ""),
        (spec(nfs={**NFS, "server": "10.0.0.1"}), "system: {packages: {extra: [nfs-common]}}", "", "is a host of this"),
    ],
)
def test_one_way_to_a_volume_and_a_word_where_there_is_none(
    claim: StorageSpec, rest: str, refused: str, warned: str
) -> None:
    faults, warnings = found(claim, rest)
    assert (refused in faults and warned in warnings) and bool(refused) == bool(faults), (faults, warnings)
    assert bool(warned) == bool(warnings), warnings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": "10"}, "is no size of a volume"),
        ({"size": "10GB"}, "is no size of a volume"),
        ({"accessModes": []}, "at least 1 item"),
        ({"accessModes": ["ReadWriteOncePod"]}, "ReadWriteMany"),
        ({"existingClaim": "Mine"}, "is not the name of an object"),
        ({"nfs": {**NFS, "server": "nfs://10.9.0.1"}}, "is neither an IP address nor a DNS name"),
        ({"nfs": {**NFS, "path": "backup"}}, "is no path of an export"),
        ({"nfs": {**NFS, "path": "/a/../b"}}, "is no path of an export"),
        ({"nfs": {**NFS, "mountOptions": ["hard,intr"]}}, "is no mount option"),
    ],
)
def test_what_is_no_storage_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**fields)


def claim_of(storage: StorageSpec | ClaimSpec) -> dict[str, Any]:
    text = rjsonnet.evaluate_snippet(
        "claim",
        "function(storage) (import 'lib/claim.libsonnet')({}, 'backup', 'etcd-backup', storage)",
        jpathdir=[str(ADDONS)],
        tla_codes={"storage": json.dumps(storage.model_dump(mode="json", by_alias=True))},
    )
    given: dict[str, Any] = json.loads(text)
    for one in given["objects"].values():
        kubernetes_validate.validate(one, "1.36", strict=True)
    return given


def test_a_new_claim_names_its_class_only_where_it_has_one() -> None:
    given = claim_of(ClaimSpec())
    assert given["name"] == "backup" and set(given["objects"]) == {"claim"}
    assert given["objects"]["claim"]["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }
    assert claim_of(spec(storageClassName="ceph"))["objects"]["claim"]["spec"]["storageClassName"] == "ceph"


def test_an_existing_claim_is_mounted_and_not_made() -> None:
    assert claim_of(spec(existingClaim="mine")) == {"name": "mine", "objects": {}}


def test_a_folder_of_a_server_is_a_volume_that_only_its_claim_gets() -> None:
    given = claim_of(spec(size="1Ti", accessModes=["ReadWriteMany"], nfs={**NFS, "mountOptions": ["nfsvers=4.1"]}))
    claim, volume = given["objects"]["claim"], given["objects"]["volume"]
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"] == "etcd-backup-backup"
    assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"] == "etcd-backup-backup"
    assert claim["spec"]["resources"]["requests"] == volume["spec"]["capacity"] == {"storage": "1Ti"}
    assert claim["spec"]["accessModes"] == volume["spec"]["accessModes"] == ["ReadWriteMany"]
    assert volume["spec"]["nfs"] == NFS and volume["spec"]["mountOptions"] == ["nfsvers=4.1"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
