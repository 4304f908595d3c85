"""Kubeconfigs: what is written holds and can be read again; what cannot be used is refused in words."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from fleet.admin import Signer
from fleet.kubeconfig import kubeconfig, read_kubeconfig, write_private
from generator.errors import ApiError, PkiError, RefusedError, SealingError
from generator.pki.issuing import certificate_pem, issue_ca
from generator.pki.keys import key_pem, new_key
from generator.pki.request import CERT_SIGN, Request
from generator.sealing import create_identity, load_identity, parse_recipient, seal

SERVER = "https://api.example.net:6443"


def signer(folder: Path, *, days: int = 30, now: datetime | None = None) -> Signer:
    """A signer of a new cluster below a folder."""
    key = new_key("ecdsa-p256")
    request = Request("ca", "ca", (("CN", "kubernetes"),), (), (), (CERT_SIGN,), days, "ecdsa-p256", None, ())
    pki = folder / "clusters" / "prod" / "pki"
    pki.mkdir(parents=True)
    recipient = parse_recipient(create_identity(folder / "identity"))
    (pki / "ca.crt").write_text("Wörter über der Datei\n" + certificate_pem(issue_ca(request, key, datetime.now(UTC))))
    (pki / "ca.key.age").write_text(seal(key_pem(key), [recipient]))
    environment = {"SLIPWAY_IDENTITY": str(folder / "identity")}
    clock = (lambda: now) if now else (lambda: datetime.now(UTC))
    return Signer("prod", pki.parent, identity=lambda: load_identity(environment), who="ann@desk", now=clock)


def client_of(text: str) -> x509.Certificate:
    import base64

    data = yaml.safe_load(text)["users"][0]["user"]["client-certificate-data"]
    return x509.load_pem_x509_certificate(base64.b64decode(data))


@pytest.mark.parametrize(("read_only", "group"), [(False, "slipway:admins"), (True, "slipway:readers")])
def test_the_certificate_names_operator_group_and_end(tmp_path: Path, read_only: bool, group: str) -> None:
    text = kubeconfig(signer(tmp_path), SERVER, read_only=read_only, lifetime=timedelta(hours=8))
    found = client_of(text)
    assert found.subject.rfc4514_string() == f"CN=slipway:ann@desk,O={group}"
    left = found.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(hours=7, minutes=50) < left <= timedelta(hours=8)
    assert yaml.safe_load(text)["clusters"][0]["cluster"]["server"] == SERVER


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config"
    write_private(path, kubeconfig(signer(tmp_path), SERVER), tmp_path / "clusters")
    found = read_kubeconfig(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (found.endpoint.server_name, found.endpoint.port, dict(found.headers)) == ("api.example.net", 6443, {})
    assert found.context.verify_mode == ssl.CERT_REQUIRED and found.context.check_hostname


def test_a_file_with_looser_mode_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new", tmp_path / "workspace")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


@pytest.mark.parametrize("place", ["config", "clusters/../config", "../alias/config"])
def test_a_path_in_the_workspace_is_refused(tmp_path: Path, place: str) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "clusters").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(workspace)
    path = tmp_path / "alias" / "config" if place.startswith("..") else workspace / place
    with pytest.raises(RefusedError, match="must not lie in the workspace"):
        write_private(path, "x", workspace)
    assert not (workspace / "config").exists()


def test_an_expired_ca_and_a_missing_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="expired on"):
        signer(tmp_path / "a", days=1, now=datetime.now(UTC) + timedelta(days=3)).certificate()
    gone = signer(tmp_path / "b")
    (tmp_path / "b/clusters/prod/pki/ca.crt").unlink()
    with pytest.raises(PkiError, match=r"clusters/prod/pki/ca\.crt cannot be read; run `invoke render`"):
        gone.certificate()
    damaged = signer(tmp_path / "c")
    (tmp_path / "c/clusters/prod/pki/ca.key.age").write_text("nothing")
    with pytest.raises(SealingError, match=r"clusters/prod/pki/ca\.key\.age: the sealed file is damaged"):
        damaged.certificate()


def test_a_context_is_kept_until_its_certificate_is_near_its_end(tmp_path: Path) -> None:
    one = signer(tmp_path)
    first = one.context()
    assert one.context() is first and one.context("slipway:readers") is not first
    later = datetime.now(UTC) + timedelta(minutes=51)
    one._now = lambda: later
    assert one.context() is not first


def changed(folder: Path, **user: Any) -> Path:
    """A kubeconfig whose user is another."""
    document = yaml.safe_load(kubeconfig(signer(folder), SERVER))
    document["users"][0]["user"] = user
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def test_tokens_are_headers_and_never_shown(tmp_path: Path) -> None:
    found = read_kubeconfig(changed(tmp_path, token="geheim"))
    assert found.headers == {"authorization": "Bearer geheim"} and "geheim" not in repr(found)


def test_files_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert read_kubeconfig(changed(tmp_path, tokenFile="token")).headers == {"authorization": "Bearer abc"}


def test_programs_are_not_run(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="Slipway does not run it"):
        read_kubeconfig(changed(tmp_path, exec={"command": "touch"}))
    with pytest.raises(ApiError, match="neither a client certificate with its key nor a token"):
        read_kubeconfig(changed(tmp_path / "other"))


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"insecure-skip-tls-verify": True}, "is not verified by TLS"),
        ({"server": "http://api.example.net"}, "is not verified by TLS"),
        ({"certificate-authority-data": ""}, "it names no certificate-authority"),
        ({"certificate-authority": "gone.crt", "certificate-authority-data": ""}, "gone.crt: it cannot be read"),
        ({"certificate-authority-data": "%%%"}, "it is no kubeconfig"),
    ],
)
def test_a_server_that_is_not_verified_is_refused(tmp_path: Path, cluster: dict[str, Any], words: str) -> None:
    document = yaml.safe_load(kubeconfig(signer(tmp_path), SERVER))
    document["clusters"][0]["cluster"].update(cluster)
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ApiError, match=words):
        read_kubeconfig(path)


@pytest.mark.parametrize(
    "text", ["", "a: [", "[]", "current-context: x", "- PRIVATE", "{current-context: a, contexts: 3}"]
)
def test_what_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ApiError, match="it is no kubeconfig") as caught:
        read_kubeconfig(path)
    assert "PRIVATE" not in str(caught.value)
    with pytest.raises(ApiError, match="cannot be read"):
        read_kubeconfig(tmp_path / "none")
