"""An external CA: requests go out, certificates come in, all else stays as ever."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from generator.errors import PkiError
from generator.pki.certificates import CA_NAMES
from generator.pki.checking import check_keys
from generator.pki.issuing import certificate_pem
from generator.pki.listing import certificate_list
from tests.pki.conftest import NOW, Workspace

EXTERNAL = {"pki": {"externalCA": True}}


class Corporation:
    """A CA with a root and one intermediate, as a company runs it."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self.root_key, self.middle_key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        self.root = self.sign(self.name("root"), self.root_key.public_key(), self.name("root"), self.root_key, 2, 9000)
        self.middle = self.sign(
            self.name("middle"), self.middle_key.public_key(), self.name("root"), self.root_key, 1, 6000
        )

    @staticmethod
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Corporation {text}")])

    def sign(
        self,
        subject: x509.Name,
        public_key: object,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        depth: int | None,
        days: int,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
        builder = builder.public_key(public_key)  # type: ignore[arg-type]
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(self.now - timedelta(days=1))
        builder = builder.not_valid_after(self.now + timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(depth is not None, depth), critical=True)
        usage = x509.KeyUsage(True, False, False, False, False, depth is not None, depth is not None, False, False)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)  # type: ignore[arg-type]
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        return builder.sign(key, hashes.SHA256())

    def answer(self, workspace: Workspace, name: str, depth: int | None = 0, days: int = 3000) -> x509.Certificate:
        request = x509.load_pem_x509_csr(workspace.store.request_path(name).read_bytes())
        assert request.is_signature_valid
        return self.sign(request.subject, request.public_key(), self.name("middle"), self.middle_key, depth, days)

    def bring(self, workspace: Workspace, days: int = 3000) -> None:
        for name in CA_NAMES:
            put(workspace, name, self.answer(workspace, name, days=days), self.middle, self.root)


def put(workspace: Workspace, name: str, *chain: x509.Certificate) -> None:
    workspace.store.path(name).write_text("".join(certificate_pem(item) for item in chain))


@pytest.fixture
def waiting(workspace: Workspace) -> Workspace:
    """A cluster whose requests have gone out."""
    workspace.edit(EXTERNAL)
    with pytest.raises(PkiError) as caught:
        workspace.issue()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [f"clusters/prod/pki/{name}.crt" for name in CA_NAMES]
    assert "waiting for the certificate of an external CA; have clusters/prod/pki/ca.csr signed as a CA" in lines[0]
    return workspace


def test_requests_go_out_once_and_ask_for_an_intermediate(waiting: Workspace) -> None:
    before = waiting.files()
    assert sorted(before) == sorted(
        ["recipients.txt", *(f"pki/{name}.{ending}" for name in CA_NAMES for ending in ("csr", "key.age"))]
    )
    with pytest.raises(PkiError, match="waiting"):
        waiting.issue()
    assert waiting.files() == before and waiting.asked == 0
    request = x509.load_pem_x509_csr(before["pki/ca.csr"])
    constraints = request.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and constraints.value.ca and constraints.value.path_length == 0
    assert before["pki/ca.csr"].startswith(b"subject: CN=kubernetes\n")


def test_what_comes_in_signs_all_else(waiting: Workspace) -> None:
    corporation = Corporation()
    corporation.bring(waiting)
    report = waiting.issue()
    assert len(report.made) == 16 and waiting.asked == 1
    check_keys(waiting.cluster, waiting.dir, waiting.identity())
    store = waiting.store
    assert [item.subject for item in store.chain("ca")] == [
        store.chain("ca")[0].subject,
        corporation.middle.subject,
        corporation.root.subject,
    ]
    assert store.certificate("signing").count("BEGIN CERTIFICATE") == 1
    assert store.certificate("ca").startswith(store.certificate("signing"))
    assert store.certificate("ca").count("subject:") == 3
    before = waiting.files()
    assert not waiting.issue(timedelta(days=90)).changed
    assert waiting.files() == before


def test_any_order_in_the_file_is_put_right(waiting: Workspace) -> None:
    corporation = Corporation()
    corporation.bring(waiting)
    put(waiting, "ca", corporation.root, corporation.answer(waiting, "ca"), corporation.middle)
    waiting.issue()
    assert waiting.store.chain("ca")[0].subject.rfc4514_string() == "CN=kubernetes"
    assert waiting.store.chain("hosts/cp-1/apiserver")[0].issuer == waiting.store.chain("ca")[0].subject
    assert not waiting.issue().changed


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_follows_the_whole_chain(workspace: Workspace) -> None:
    workspace.now = datetime.now(UTC)
    workspace.edit(EXTERNAL)
    with pytest.raises(PkiError, match="waiting"):
        workspace.issue()
    Corporation(workspace.now).bring(workspace)
    workspace.issue()
    store = workspace.store
    for ca, leaf in (("ca", "apiserver"), ("etcd/ca", "etcd/server"), ("front-proxy-ca", "front-proxy-client")):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-CAfile", store.path(ca), store.path(f"hosts/cp-1/{leaf}")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_nothing_outlives_the_shortest_of_the_chain(waiting: Workspace) -> None:
    Corporation().bring(waiting, days=100)
    waiting.issue()
    statuses = certificate_list(waiting.cluster, waiting.store, NOW)
    assert {status.days_left for status in statuses} == {99}


def test_a_certificate_of_another_key_is_refused(waiting: Workspace) -> None:
    corporation = Corporation()
    corporation.bring(waiting)
    put(waiting, "ca", corporation.answer(waiting, "etcd/ca"), corporation.middle, corporation.root)
    refused(
        waiting, r"^clusters/prod/pki/ca\.crt: no certificate in it matches the private key; have clusters/prod/pki/ca"
    )


def test_a_leaf_is_no_ca(waiting: Workspace) -> None:
    corporation = Corporation()
    corporation.bring(waiting)
    put(waiting, "ca", corporation.answer(waiting, "ca", depth=None), corporation.middle, corporation.root)
    refused(waiting, r"^clusters/prod/pki/ca\.crt: our certificate was not signed as a certificate authority; have")


def test_a_chain_without_its_root_says_whose_certificate_is_missing(waiting: Workspace) -> None:
    corporation = Corporation()
    corporation.bring(waiting)
    put(waiting, "ca", corporation.answer(waiting, "ca"), corporation.middle)
    refused(waiting, r"CN=Corporation root, which signed CN=Corporation middle, is not in the file; append it")


def test_a_certificate_that_is_not_of_the_chain_would_be_trusted_and_is_refused(waiting: Workspace) -> None:
    corporation = Corporation()
    corporation.bring(waiting)
    put(waiting, "ca", corporation.answer(waiting, "ca"), corporation.middle, corporation.root, Corporation().root)
    refused(waiting, r"CN=Corporation root is not part of the chain; remove it")


def test_an_expired_intermediate_is_refused(waiting: Workspace) -> None:
    Corporation().bring(waiting, days=100)
    waiting.issue()
    waiting.now += timedelta(days=101)
    refused(waiting, r"authority CN=kubernetes expired on")


def refused(workspace: Workspace, message: str) -> None:
    before = workspace.files()
    with pytest.raises(PkiError, match=message):
        workspace.issue()
    assert workspace.files() == before


def test_a_cluster_of_its_own_ca_can_be_put_under_an_external_one(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    workspace.edit(EXTERNAL)
    with pytest.raises(PkiError, match="waiting"):
        workspace.issue()
    assert {name: data for name, data in workspace.files().items() if not name.endswith(".csr")} == before
    Corporation().bring(workspace)
    report = workspace.issue()
    # The keys stay, so all that they have signed stays good.
    assert set(report.made) == set(CA_NAMES) and not report.replaced
    check_keys(workspace.cluster, workspace.dir, workspace.identity())
