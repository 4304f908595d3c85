"""The verbs about user-data, as an operator runs them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import yaml

from generator.sealing import create_identity
from tests.render.workspace import SPEC
from tests.verbs.test_verbs import invoke

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMZf0tfu2o6xJ4LhHzhTVGFfDNZTzOuRJzZmn2zGnVwq ops"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("booting")
    root = base / "repository" / "workspace"
    (base / "repository" / ".git").mkdir(parents=True)
    inputs = root / "clusters" / "prod"
    inputs.mkdir(parents=True)
    (base / "repository" / "beside").mkdir()
    public = create_identity(root.parent / ".config" / "slipway" / "identity")
    (inputs / "recipients.txt").write_text(f"{public}\n")
    logins = [{"name": "ops", "sudo": True, "sshAuthorizedKeys": [KEY]}]
    spec = {**SPEC, "ssh": {"user": "ops"}, "cloudInit": {"targets": ["aws", "nocloud"], "users": logins}}
    spec["pools"] = {**SPEC["pools"], "control": {**SPEC["pools"]["control"], "cloudInit": {"targets": ["none"]}}}
    (inputs / "cluster.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    rendered = invoke(root, "render")
    assert rendered.returncode == 0, rendered.stderr
    assert "user-data of pool workers: at most " in rendered.stdout and "aws gzip of at most 16,384" in rendered.stdout
    return root


def test_a_hosts_user_data_goes_into_a_private_file_in_the_form_of_its_place(workspace: Path) -> None:
    out = workspace.parent / "w1"
    done = invoke(workspace, "user-data", "--host", "w1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "aws takes 16,384" in done.stdout and out.stat().st_mode & 0o777 == 0o600
    packed = out.read_bytes()
    assert len(packed) <= 16384
    config = yaml.safe_load(gzip.decompress(packed))
    assert config["hostname"] == "w1" and config["users"][0]["name"] == "ops"
    plain = invoke(workspace, "user-data", "--host", "w1", "--target", "nocloud")
    assert plain.returncode == 0 and yaml.safe_load(plain.stdout) == config


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "w1"), "it is binary: write it to a file with --out FILE"),
        (("--host", "w3"), "no host w3; see hosts in cluster.yaml"),
        (("--host", "cp1"), "section cloudInit"),
        (("--host", "w1", "--target", "awz"), "did you mean aws"),
        (("--host", "w1", "--join-token"), "with --out FILE"),
        (("--host", "w1", "--join-token", "--out", "{root}/w1"), "must not lie in the repository"),
        (("--host", "w1", "--join-token", "--out", "{root}/../beside/w1"), "must not lie in the repository"),
        (("--host", "w1", "--out", "{root}/rendered/prod/w1"), "only you and render write there"),
        (("--host", "w1", "--out", "{root}/clusters/prod/cluster.yaml"), "only you and render write there"),
        (("--host", "w1", "--out", "/"), "is a folder; name a file"),
        (("--host", "w1", "--out", "/not/there/w1"), "lies in a folder that is not there"),
        (("--host", "w1", "--token-minutes", "60"), "add --join-token, or leave them out"),
        (("--host", "w1", "--join-token", "--out", "/tmp/w1", "--target", "awz"), "did you mean aws"),
        # Before anything is asked of the API: the host cannot join.
        (("--host", "w1", "--join-token", "--out", "/tmp/w1", "--token-minutes", "9" * 30), "it cannot join at its"),
    ],
)
def test_what_would_go_wrong_is_refused(workspace: Path, words: tuple[str, ...], said: str) -> None:
    done = invoke(workspace, "user-data", *(word.format(root=workspace) for word in words))
    assert done.returncode == 1 and said in done.stderr, done.stderr


def test_a_seed_is_an_image_with_the_label_that_cloud_init_looks_for(workspace: Path) -> None:
    pytest.importorskip("pycdlib")
    out = workspace.parent / "w1.iso"
    network = workspace.parent / "network"
    words = ("seed", "--host", "w1", "--out", str(out), "--network-config", str(network))
    for text, said in (("#cloud-config\nhostname: w1\n", "no `version: 1`"), ("a: [", "it is no YAML")):
        network.write_text(text)
        done = invoke(workspace, *words)
        assert done.returncode == 1 and said in done.stderr and not out.exists(), done.stderr
    network.write_text("network: {version: 2, ethernets: {}}\n")
    done = invoke(workspace, *words)
    assert done.returncode == 0, done.stderr
    content = out.read_bytes()
    assert content[32769:32774] == b"CD001" and b"cidata" in content[32768:34816]
    assert out.stat().st_mode & 0o777 == 0o600 and b"hostname: w1\n" in content
