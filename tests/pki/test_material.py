"""What components see of certificates and secrets, from the store and from requests; lists; client certificates."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from generator.components.view import Material
from generator.errors import PkiError, RenderError
from generator.formats.natural import natural_order
from generator.pki.certificates import certificates
from generator.pki.issuing import certificate_key_id, load_certificates, sign_client, signed_by
from generator.pki.keys import private_key_id
from generator.pki.listing import certificate_list, expiry_warnings
from generator.pki.request_material import RequestMaterial
from generator.pki.store import index_text
from generator.pki.words import attributes
from generator.sealing import unseal_file
from tests.pki.conftest import NOW, Workspace


def test_store_and_requests_know_the_same_names(workspace: Workspace) -> None:
    workspace.edit({"pki": {"kubeProxyCertificate": True}})
    workspace.issue()
    materials: tuple[Material, ...] = (workspace.store, RequestMaterial(workspace.cluster))
    for material in materials:
        for name in (*(request.name for request in certificates(workspace.cluster)), "signing", "sa.pub"):
            assert material.certificate(name)
        for name in (*(f"pki/{request.name}" for request in certificates(workspace.cluster)), "pki/sa", "encryption/1"):
            identifier = material.secret_id(name)
            assert len(identifier) == 16 and int(identifier, 16) >= 0
        assert material.encryption_keys() == ("encryption/1",)
        assert material.service_account_keys() == ("sa",)
        with pytest.raises(RenderError):
            material.certificate("hosts/cp-9/apiserver")
        for name in ("pki/hosts/cp-9/apiserver", "encryption/2"):
            with pytest.raises(RenderError):
                material.secret_id(name)


def test_a_request_as_words_has_the_lines_of_its_certificate_and_no_pem(workspace: Workspace) -> None:
    workspace.issue()
    asked = RequestMaterial(workspace.cluster).certificate("hosts/cp-1/apiserver").splitlines()
    given = workspace.store.certificate("hosts/cp-1/apiserver").splitlines()
    assert asked[:4] == given[:4]
    assert asked[4:] == ["key:     ecdsa-p256", "valid:   365 days"]
    assert given[4].startswith("key:     ecdsa-p256, id ")


def test_ids_of_requests_follow_from_names_alone(workspace: Workspace) -> None:
    first = RequestMaterial(workspace.cluster).secret_id("pki/ca")
    other = workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    assert RequestMaterial(other).secret_id("pki/ca") == first
    assert RequestMaterial(other).secret_id("pki/etcd/ca") != first


def test_a_key_that_is_not_sealed_is_a_render_error(workspace: Workspace) -> None:
    workspace.issue()
    workspace.store.key_path("hosts/cp-1/apiserver").unlink()
    with pytest.raises(RenderError, match=r"hosts/cp-1/apiserver\.key\.age: .* is not sealed there; run"):
        workspace.store.secret_id("pki/hosts/cp-1/apiserver")
    with pytest.raises(RenderError, match=r"pki/hosts/cp-9/apiserver\.crt: .*; run `invoke certs\.issue`"):
        workspace.store.certificate("hosts/cp-9/apiserver")


def test_a_subject_cannot_forge_words_or_pem(workspace: Workspace) -> None:
    unit = "x\nnames: DNS:evil\n-----BEGIN CERTIFICATE-----"
    workspace.edit({"pki": {"subject": {"organizationalUnit": unit}}})
    workspace.issue()
    text = workspace.store.certificate("hosts/cp-1/apiserver")
    assert text.count("-----BEGIN") == 1 and text.isascii()
    assert next(line for line in text.splitlines() if line.startswith("names:")).startswith("names:   DNS:cp-1")
    assert not workspace.issue().changed


def test_the_index_is_sorted_by_number_and_ids_stay_text(workspace: Workspace) -> None:
    names = ["encryption/10", "encryption/9", "vrrp"]
    assert sorted(names, key=natural_order) == ["encryption/9", "encryption/10", "vrrp"]
    workspace.issue()
    ids = {"encryption/1": "0123456789012345", "encryption/10": "1e10000000000000", "encryption/9": "ab" * 8}
    (workspace.dir / "secrets/index.yaml").write_text(index_text(ids))
    assert workspace.store.index() == ids
    assert workspace.store.secret_names("encryption/") == ("encryption/1", "encryption/9", "encryption/10")


def test_the_list_says_what_lasts_how_long_and_lies_where(workspace: Workspace) -> None:
    workspace.issue()
    statuses = {status.name: status for status in certificate_list(workspace.cluster, workspace.store, NOW)}
    assert list(statuses) == [request.name for request in certificates(workspace.cluster)]
    server = statuses["hosts/cp-1/apiserver"]
    assert (server.subject, server.issuer, server.days_left, server.warn) == (
        "CN=kube-apiserver",
        "CN=kubernetes",
        364,
        False,
    )
    assert server.file == "clusters/prod/pki/hosts/cp-1/apiserver.crt"
    assert [(place.path, place.on, place.key_path) for place in server.places] == [
        ("/etc/kubernetes/pki/apiserver.crt", "cp-1", "/etc/kubernetes/pki/apiserver.key")
    ]
    assert "IP:10.0.0.1" in server.sans and server.key_id == workspace.store.secret_id("pki/hosts/cp-1/apiserver")


@pytest.mark.parametrize(
    ("days", "warn", "expired", "words"),
    [(334, False, False, ""), (336, True, False, "28 days left, ends on"), (366, True, True, "expired on")],
)
def test_the_end_is_warned_about(workspace: Workspace, days: int, warn: bool, expired: bool, words: str) -> None:
    workspace.issue()
    statuses = certificate_list(workspace.cluster, workspace.store, NOW + timedelta(days=days))
    server = next(status for status in statuses if status.name == "hosts/cp-1/apiserver")
    assert (server.warn, server.expired) == (warn, expired)
    lines = expiry_warnings(statuses)
    assert len(lines) == (11 if warn else 0)
    assert all(
        line.startswith(("clusters/prod/pki/hosts/cp-1/", "clusters/prod/pki/addons/")) and words in line
        for line in lines
    )


def test_a_client_certificate_lives_in_memory_and_for_an_hour(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    ca_key = unseal_file(workspace.store.key_path("ca"), workspace.identity())
    ca_cert = workspace.store.certificate("ca").encode()
    cert, key = sign_client(ca_cert, ca_key, "slipway:me@laptop", ["slipway:admins"], NOW)
    certificate = load_certificates(cert, "client")[0]
    assert private_key_id(key) == certificate_key_id(cert)
    assert signed_by(certificate, workspace.store.chain("ca")[0])
    assert attributes(certificate.subject) == (("O", "slipway:admins"), ("CN", "slipway:me@laptop"))
    assert certificate.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(hours=1)
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert workspace.files() == before
    with pytest.raises(PkiError, match="does not match its private key"):
        sign_client(workspace.store.certificate("etcd/ca").encode(), ca_key, "me", [], NOW)
    with pytest.raises(PkiError, match="expired on"):
        sign_client(ca_cert, ca_key, "me", [], NOW + timedelta(days=4000))
