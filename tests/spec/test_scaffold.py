from pathlib import Path

import pytest
from cookiecutter.exceptions import CookiecutterException
from cookiecutter.main import cookiecutter

from generator.artifacts_lock import ArtifactLock, read_lock
from generator.spec import load
from generator.spec.model import Cluster

TEMPLATE = Path(__file__).parents[2] / "cookiecutter-cluster"


def scaffold(root: Path, monkeypatch: pytest.MonkeyPatch, **answers: str) -> Cluster:
    monkeypatch.setenv("HOME", str(root / "home"))
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(root / "home" / "cookiecutterrc"))
    (root / "home").mkdir()
    (root / "home" / "cookiecutterrc").write_text(f"cookiecutters_dir: {root}/home/a\nreplay_dir: {root}/home/b\n")
    (root / "clusters").mkdir()
    cookiecutter(
        str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(root / "clusters"), accept_hooks=True
    )
    return load(root, answers.get("name", "first"))


def test_the_defaults_load_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = scaffold(tmp_path, monkeypatch)
    assert cluster.warnings == ()
    assert (len(cluster.etcd_hosts), len(cluster.control_plane), len(cluster.with_role("worker"))) == (3, 3, 2)
    assert (cluster.network.plugin, cluster.addons.traefik.enabled) == ("calico", True)
    assert read_lock(tmp_path / "clusters" / "first") == ArtifactLock()


@pytest.mark.parametrize(
    "answers",
    [
        {"name": "x", "network_plugin": "none", "api_endpoint": "10.0.0.100"},
        {"name": "single", "network_plugin": "calico", "ingress": "none", "control_plane_addresses": "10.0.0.1"},
        {"name": "one", "control_plane_addresses": "10.0.0.1", "worker_addresses": ""},
        {"name": "old", "kubernetes_version": "1.20.2", "domain": "k8s.example.net", "ssh_user": "ops",
         "network_plugin": "none", "ingress": "none"},
        {"name": "v6", "network_plugin": "none", "pod_cidr": "fd01::/48", "service_cidr": "fd02::/108",
         "control_plane_addresses": "fd00::1", "worker_addresses": "fd00::2"},
    ],
)  # fmt: skip
def test_other_answers_load_too(answers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scaffold(tmp_path, monkeypatch, **answers).warnings == ()


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({"name": "Bad_Name"}, "not a DNS-1123 label"),
        ({"pod_cidr": "10.96.0.0/12"}, "overlap"),
        ({"pod_cidr": "10.0.0.0/16"}, "lies in pod_cidr"),
        ({"pod_cidr": "10.244.0.1/16"}, "not a range"),
        ({"control_plane_addresses": "10.0.0.1 10.0.0.2"}, "odd number"),
        ({"worker_addresses": "10.0.0.1"}, "there twice"),
        ({"worker_addresses": "w1"}, "not an IP address"),
        ({"domain": "cluster.local."}, "ends with a dot"),
        ({"kubernetes_version": "v1.36"}, "not a whole version"),
    ],
)
def test_bad_answers_are_refused_and_leave_nothing(
    answers: dict[str, str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CookiecutterException):
        scaffold(tmp_path, monkeypatch, **answers)
    assert text in capfd.readouterr().err
    assert list((tmp_path / "clusters").iterdir()) == []
