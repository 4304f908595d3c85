import json
from importlib import resources

import pytest
import yaml

from generator.spec import flag_tables
from generator.spec.flag_policy import ADDITIVE, OVERRIDABLE, OWNED, ROLES
from generator.spec.flag_tables import COMPONENTS_WITH_FLAGS, Knowledge, known
from generator.spec.versions import NEWEST_MINOR, OLDEST_MINOR, minor_text

DATA = resources.files("generator.spec") / "data"
MINORS = [f"1.{minor}" for minor in range(OLDEST_MINOR[1], NEWEST_MINOR[1] + 1)]


@pytest.mark.parametrize(
    ("component", "minor", "flag", "found"),
    [
        ("kube-apiserver", "1.20", "etcd-servers", Knowledge.KNOWN),
        ("kube-apiserver", "1.23", "etcd-servers", Knowledge.KNOWN),  # both neighbours know it
        ("kube-apiserver", "1.20", "insecure-port", Knowledge.HIDDEN),
        ("kube-apiserver", "1.23", "insecure-port", Knowledge.HIDDEN),  # the history says 1.24
        ("kube-apiserver", "1.24", "insecure-port", Knowledge.UNKNOWN),
        ("kube-apiserver", "1.22", "kubelet-https", Knowledge.UNKNOWN),
        ("kube-apiserver", "1.24", "enable-swagger-ui", Knowledge.UNPROVEN),  # nobody says when
        ("kube-apiserver", "1.25", "enable-swagger-ui", Knowledge.UNKNOWN),
        ("kube-apiserver", "1.23", "no-such-flag", Knowledge.UNKNOWN),
        ("kube-proxy", "1.25", "logtostderr", Knowledge.KNOWN),
        ("kube-proxy", "1.26", "logtostderr", Knowledge.UNKNOWN),
        ("kube-proxy", "1.28", "init-only", Knowledge.UNPROVEN),
        ("kubelet", "1.34", "pod-infra-container-image", Knowledge.KNOWN),
        ("kubelet", "1.35", "pod-infra-container-image", Knowledge.UNKNOWN),
        ("kube-apiserver", "1.37", "etcd-servers", Knowledge.UNPROVEN),
        ("etcd", "3.5", "enable-v2", Knowledge.KNOWN),
        ("etcd", "3.6", "enable-v2", Knowledge.UNKNOWN),
        ("etcd", "3.6", "initial-cluster", Knowledge.KNOWN),
        ("etcd", "3.7", "initial-cluster", Knowledge.UNPROVEN),
    ],
)
def test_knowledge(component: str, minor: str, flag: str, found: Knowledge) -> None:
    assert known(component, minor, flag) is found


def test_measured_minors_are_what_binaries_said() -> None:
    data = json.loads((DATA / "component-flags.json").read_text())
    for component, minors in data["components"].items():
        for minor, flags in minors.items():
            assert all(known(component, minor, flag) in {Knowledge.KNOWN, Knowledge.HIDDEN} for flag in flags)
            assert not {flag for flag in ("no-such-flag", "openshift-config") if flag in flags}


def test_the_history_never_contradicts_binaries() -> None:
    data = json.loads((DATA / "component-flags.json").read_text())["components"]
    history = yaml.safe_load((DATA / "flag-history.yaml").read_text())
    for entry in history["removed"]:
        components = data if entry["component"] == "klog" else {entry["component"]} & data.keys()
        for component in components:
            for minor, flags in data[component].items():
                if "since" in entry and flag_tables.minor_key(minor) >= flag_tables.minor_key(entry["since"]):
                    assert not set(entry["flags"]) & set(flags), (component, minor)


def test_every_change_has_its_source_and_what_to_do() -> None:
    for section in yaml.safe_load((DATA / "flag-history.yaml").read_text()).values():
        assert all(entry["source"] and entry["instead"] for entry in section)


@pytest.mark.parametrize("component", COMPONENTS_WITH_FLAGS)
def test_owned_and_additive_flags_are_flags(component: str) -> None:
    minors = ["3.4", "3.5"] if component == "etcd" else MINORS
    ever = {flag for minor in minors for flag in flag_tables.flags_of(component, minor)}
    invented = {*OWNED[component], *ADDITIVE[component]} - ever
    assert invented <= {"config-file", "feature-gates"}, "etcd does not list these two in --help of 3.4 and 3.5"


def test_tables_speak_of_the_same_components() -> None:
    assert OVERRIDABLE.keys() == ROLES.keys()
    assert (
        {name for name, parts in OVERRIDABLE.items() if "flags" in parts} == set(COMPONENTS_WITH_FLAGS) == OWNED.keys()
    )


def test_supported_minors_lie_within_what_was_measured() -> None:
    measured = json.loads((DATA / "component-flags.json").read_text())["measured"]["kubelet"]
    assert (minor_text(OLDEST_MINOR), minor_text(NEWEST_MINOR)) == (measured[0], measured[-1])
