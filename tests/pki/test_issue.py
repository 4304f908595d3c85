"""The issue step: what it makes, what it leaves alone, what it refuses."""

import base64
import contextlib
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import PkiError, SealingError, SlipwayError
from generator.pki import writing
from generator.pki.certificates import certificates
from generator.pki.checking import check_keys
from generator.pki.issue import issue
from generator.pki.issuing import is_ca
from generator.pki.keys import private_key_id
from generator.pki.listing import certificate_list
from generator.sealing import Identity, create_identity, unseal_file
from tests.pki.conftest import NOW, Workspace

YEAR = timedelta(days=365)


def test_a_new_cluster_needs_recipients_and_no_identity(workspace: Workspace) -> None:
    report = workspace.issue()
    assert set(report.made) == {request.name for request in certificates(workspace.cluster)} | {"sa", "encryption/1"}
    assert (report.replaced, report.kept, report.removed, report.notes) == ((), (), (), ())
    assert workspace.asked == 0
    check_keys(workspace.cluster, workspace.dir, workspace.identity())


@pytest.mark.parametrize("later", [timedelta(), timedelta(minutes=1), 3 * YEAR, 9 * YEAR], ids=str)
def test_time_alone_changes_no_byte_and_asks_for_nothing(workspace: Workspace, later: timedelta) -> None:
    workspace.issue()
    before = workspace.files()
    report = workspace.issue(later)
    assert workspace.files() == before
    assert not report.changed and len(report.kept) == 16
    assert workspace.asked == 0


def test_nothing_to_issue_needs_no_recipients_either(workspace: Workspace) -> None:
    workspace.issue()
    (workspace.dir / "recipients.txt").unlink()
    assert not workspace.issue().changed


def test_what_is_issued_follows_the_clock_and_the_spec(workspace: Workspace) -> None:
    workspace.edit({"pki": {"validity": {"leaf": "90d"}}})
    workspace.issue()
    ca, leaf = workspace.store.chain("ca")[0], workspace.store.chain("hosts/cp-1/apiserver")[0]
    moment = NOW.replace(microsecond=0)
    assert ca.not_valid_before_utc == leaf.not_valid_before_utc == moment - timedelta(minutes=5)
    assert ca.not_valid_after_utc == moment + 10 * YEAR
    assert leaf.not_valid_after_utc == moment + timedelta(days=90)
    assert is_ca(ca) and not is_ca(leaf)
    assert ca.serial_number != leaf.serial_number and ca.serial_number.bit_length() > 64


def test_a_leaf_never_outlives_its_ca(workspace: Workspace) -> None:
    workspace.issue()
    workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    workspace.issue(10 * YEAR - timedelta(days=30))
    leaf, ca = workspace.store.chain("hosts/cp-1/apiserver")[0], workspace.store.chain("ca")[0]
    assert leaf.not_valid_after_utc == ca.not_valid_after_utc


CHANGES: list[tuple[str, dict[str, Any], set[str], str]] = [
    ("a further name", {"api": {"extraSANs": ["kube.example.org"]}}, {"hosts/cp-1/apiserver"}, "set of names"),
    (
        "another address",
        {"hosts": {"cp-1": {"address": "10.0.0.9"}}},
        {"hosts/cp-1/apiserver", "hosts/cp-1/etcd/server", "hosts/cp-1/etcd/peer"},
        "set of names",
    ),
    (
        "a subject field",
        {"pki": {"subject": {"organizationalUnit": "platform"}}},
        {"hosts/cp-1/apiserver", "hosts/cp-1/etcd/server", "hosts/cp-1/etcd/peer", "addons/metrics-server"},
        "subject",
    ),
]


@pytest.mark.parametrize(
    ("patch", "expected", "why"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_only_what_no_longer_matches_is_replaced(
    workspace: Workspace, patch: dict[str, Any], expected: set[str], why: str
) -> None:
    workspace.issue()
    before, ids = workspace.files(), {name: workspace.store.secret_id(f"pki/{name}") for name in expected}
    workspace.edit(patch)
    report = workspace.issue()
    assert set(report.replaced) == expected
    assert all(why in reason for reason in report.reasons.values())
    assert report.made == () and report.removed == ()
    after = workspace.files()
    changed = {f"pki/{name}.{ending}" for name in expected for ending in ("crt", "key.age")}
    assert {name for name in after if after[name] != before.get(name)} == changed
    assert all(workspace.store.secret_id(f"pki/{name}") != old for name, old in ids.items())
    assert workspace.asked == 1  # the first issue asked for nothing, this one once for two CAs
    check_keys(workspace.cluster, workspace.dir, workspace.identity())
    assert not workspace.issue().changed


def test_another_algorithm_renews_leaves_and_leaves_the_cas_alone(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    workspace.edit({"pki": {"algorithm": "rsa-2048"}})
    report = workspace.issue()
    assert set(report.replaced) == {request.name for request in certificates(workspace.cluster) if not request.is_ca}
    assert len(report.notes) == 3 and all("key type" in note for note in report.notes)
    after = workspace.files()
    assert all(after[f"pki/{name}.crt"] == before[f"pki/{name}.crt"] for name in ("ca", "etcd/ca", "front-proxy-ca"))
    assert not workspace.issue().changed


def test_a_ca_that_was_moved_away_is_made_anew_and_all_that_it_signed(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    for path in (workspace.store.path("etcd/ca"), workspace.store.key_path("etcd/ca")):
        path.unlink()
    report = workspace.issue()
    assert report.made == ("etcd/ca",)
    etcd = {request.name for request in certificates(workspace.cluster) if request.issuer == "etcd/ca"} - {"etcd/ca"}
    assert set(report.replaced) == etcd and len(etcd) == 4
    assert all("not signed by the present etcd/ca" in reason for reason in report.reasons.values())
    changed = {name for name, data in workspace.files().items() if before[name] != data}
    assert changed == {f"pki/{name}.{ending}" for name in (*etcd, "etcd/ca") for ending in ("crt", "key.age")}


def test_a_lost_ca_certificate_is_made_again_for_the_same_key(workspace: Workspace) -> None:
    workspace.issue()
    identifier = workspace.store.key_id("ca")
    workspace.store.path("ca").unlink()
    report = workspace.issue()
    assert report.made == ("ca",) and not report.replaced
    assert workspace.store.key_id("ca") == identifier


def test_what_a_killed_issue_left_beside_its_places_goes(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    (workspace.dir / "pki" / f".ca.crt{writing.SUFFIX}").write_text("half a certif")
    assert not workspace.issue().changed
    assert workspace.files() == before


def test_a_new_host_gets_its_own_and_a_gone_host_leaves_nothing(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    more = {name: {"pool": "control", "address": f"10.0.0.{name[-1]}"} for name in ("cp-2", "cp-3")}
    workspace.edit({"hosts": more})
    report = workspace.issue()
    assert len(report.made) == 20 and all(name.startswith(("hosts/cp-2/", "hosts/cp-3/")) for name in report.made)
    assert {name: data for name, data in workspace.files().items() if name in before} == before
    (workspace.dir / "pki/hosts/cp-2/notes.txt").write_text("not ours\n")
    workspace.edit({})
    report = workspace.issue()
    assert len(report.removed) == 20 and not report.made and not report.replaced
    assert workspace.files() == {**before, "pki/hosts/cp-2/notes.txt": b"not ours\n"}
    assert not (workspace.dir / "pki/hosts/cp-3").exists()


def test_a_worker_more_changes_nothing(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    workspace.edit({"hosts": {"worker-2": {"pool": "workers", "address": "10.0.1.2"}}})
    assert not workspace.issue().changed
    assert workspace.files() == before


def test_no_secret_stands_in_plain_text(workspace: Workspace) -> None:
    workspace.issue()
    identity = workspace.identity()
    secrets = [unseal_file(path, identity) for path in workspace.dir.rglob("*.age")]
    assert len(secrets) == 16
    lines = {line for secret in secrets for line in secret.splitlines() if len(line) > 20}
    for name, data in workspace.files().items():
        assert b"PRIVATE KEY" not in data, name
        assert not any(line in data for line in lines), name


def test_the_id_of_a_key_is_that_of_its_certificate(workspace: Workspace) -> None:
    workspace.issue()
    identity = workspace.identity()
    for name in ("ca", "etcd/ca", "sa", "hosts/cp-1/apiserver"):
        assert private_key_id(unseal_file(workspace.store.key_path(name), identity)) == workspace.store.secret_id(
            f"pki/{name}"
        )


# --- encryption at rest ---------------------------------------------------------------------------------------------


def test_the_encryption_key_is_made_once_and_fits_every_provider(workspace: Workspace) -> None:
    workspace.issue()
    value = unseal_file(workspace.dir / "secrets/encryption/1.age", workspace.identity())
    assert len(base64.b64decode(value, validate=True)) == 32
    before = workspace.files()
    for provider in ("aescbc", "aesgcm", "none", "secretbox"):
        workspace.edit({"encryption": {"provider": provider}})
        assert not workspace.issue().changed
    assert workspace.files() == before


def test_no_encryption_no_key(workspace: Workspace) -> None:
    workspace.edit({"encryption": {"provider": "none"}})
    assert "encryption/1" not in workspace.issue().made
    assert not (workspace.dir / "secrets").exists()
    assert workspace.store.secret_names("encryption/") == ()


def test_a_lost_encryption_key_is_never_made_anew(workspace: Workspace) -> None:
    workspace.issue()
    (workspace.dir / "secrets/encryption/1.age").unlink()
    before = workspace.files()
    with pytest.raises(PkiError, match=r"clusters/prod/secrets/encryption/1\.age: .* restore it from git"):
        workspace.issue()
    assert workspace.files() == before


_VIP = {"address": "10.0.0.100", "role": "control-plane", "virtualRouterId": 51, "priorities": {"cp-1": 9}}
PASSWORD = "secrets/vrrp/password.age"


def test_a_virtual_address_gets_a_password_once_that_vrrp_has_room_for(workspace: Workspace) -> None:
    workspace.issue()
    assert not (workspace.dir / PASSWORD).exists()
    workspace.edit({"api": {"vip": _VIP}})
    assert "vrrp/password" in workspace.issue().made
    value = unseal_file(workspace.dir / PASSWORD, workspace.identity())
    assert len(value) == 8 and value.decode().isalnum()
    before = workspace.files()
    assert not workspace.issue().changed
    workspace.edit({"api": {"vip": {**_VIP, "port": 9443}}})
    workspace.issue()
    assert workspace.files()[PASSWORD] == before[PASSWORD]


def test_a_password_taken_away_with_its_id_is_made_anew_and_without_it_is_missed(workspace: Workspace) -> None:
    workspace.edit({"api": {"vip": _VIP}})
    workspace.issue()
    old, index = unseal_file(workspace.dir / PASSWORD, workspace.identity()), workspace.dir / "secrets/index.yaml"
    (workspace.dir / PASSWORD).unlink()
    with pytest.raises(PkiError, match=r"vrrp/password and it is missing; restore it from git$"):
        workspace.issue()
    with_id = index.read_text()
    index.write_text("".join(line for line in with_id.splitlines(True) if "vrrp" not in line))
    assert "vrrp/password" in workspace.issue().made
    assert unseal_file(workspace.dir / PASSWORD, workspace.identity()) != old and index.read_text() != with_id


def test_a_virtual_ipv6_address_has_no_password(workspace: Workspace) -> None:
    both = {"network": {"podCIDR": ["10.244.0.0/16", "fd00:10::/56"], "serviceCIDR": ["10.96.0.0/16", "fd00:20::/112"]}}
    hosts = {"cp-1": {"secondaryAddress": "fd00::1"}, "worker-1": {"secondaryAddress": "fd00::2"}}
    workspace.edit({**both, "hosts": hosts, "api": {"vip": {**_VIP, "address": "fd00::100"}}})
    assert "vrrp/password" not in workspace.issue().made


def test_a_lost_index_does_not_cost_a_key(workspace: Workspace) -> None:
    workspace.issue()
    sealed = (workspace.dir / "secrets/encryption/1.age").read_bytes()
    (workspace.dir / "secrets/index.yaml").unlink()
    assert workspace.issue().made == ("encryption/1",)
    assert (workspace.dir / "secrets/encryption/1.age").read_bytes() == sealed
    assert not workspace.issue().changed


# --- faults ---------------------------------------------------------------------------------------------------------


def delete_ca_key(workspace: Workspace) -> None:
    (workspace.dir / "pki/etcd/ca.key.age").unlink()


def delete_sa_key(workspace: Workspace) -> None:
    (workspace.dir / "pki/sa.key.age").unlink()


def spoil_sealed_form(workspace: Workspace) -> None:
    path = workspace.dir / "pki/hosts/cp-1/scheduler.key.age"
    path.write_text(path.read_text()[:-40])


def spoil_certificate(workspace: Workspace) -> None:
    (workspace.dir / "pki/hosts/cp-1/apiserver.crt").write_text("subject: nothing\n")


def spoil_public_key(workspace: Workspace) -> None:
    (workspace.dir / "pki/sa.pub").write_text("nothing\n")


def spoil_index(workspace: Workspace) -> None:
    (workspace.dir / "secrets/index.yaml").write_text("secrets: [encryption/1]\n")


FAULTS: list[tuple[Callable[[Workspace], None], str]] = [
    (delete_ca_key, r"^clusters/prod/pki/etcd/ca\.crt: clusters/prod/pki/etcd/ca\.key\.age, .* is missing; restore"),
    (delete_sa_key, r"^clusters/prod/pki/sa\.key\.age: the service-account key is missing; restore"),
    (spoil_sealed_form, r"^clusters/prod/pki/hosts/cp-1/scheduler\.key\.age: this is no sealed file .*; restore"),
    (spoil_certificate, r"^clusters/prod/pki/hosts/cp-1/apiserver\.crt: there is no certificate in it .*; restore"),
    (spoil_public_key, r"^clusters/prod/pki/sa\.pub: there is no public key in it; restore"),
    (spoil_index, r"^clusters/prod/secrets/index\.yaml: this is no list of ids .*; restore"),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_a_fault_is_one_message_and_changes_nothing(
    workspace: Workspace, spoil: Callable[[Workspace], None], message: str
) -> None:
    workspace.issue()
    workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    spoil(workspace)
    before = workspace.files()
    with pytest.raises(PkiError, match=message) as caught:
        workspace.issue()
    assert "\n" not in str(caught.value)
    assert workspace.files() == before


def test_an_expired_ca_is_refused_even_when_nothing_is_to_be_signed(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    with pytest.raises(
        PkiError, match=r"pki/ca\.crt: the certificate authority CN=kubernetes expired on 2040-05-14; .*replace"
    ):
        workspace.issue(11 * YEAR)
    assert workspace.files() == before


def test_a_ca_of_the_future_points_at_the_clock(workspace: Workspace) -> None:
    workspace.issue()
    with pytest.raises(PkiError, match=r"not valid before .* check the clock"):
        workspace.issue(-YEAR)


def test_a_damaged_ca_key_names_its_file(workspace: Workspace) -> None:
    workspace.issue()
    path = workspace.dir / "pki/ca.key.age"
    lines = path.read_text().splitlines()
    lines[5] = lines[5][::-1]
    path.write_text("\n".join(lines) + "\n")
    workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    before = workspace.files()
    with pytest.raises(SealingError, match=r"^clusters/prod/pki/ca\.key\.age: .*damaged.*; restore it from git"):
        workspace.issue()
    assert workspace.files() == before


def test_a_ca_certificate_that_does_not_match_its_key_is_refused(workspace: Workspace) -> None:
    workspace.issue()
    (workspace.dir / "pki/ca.crt").write_bytes((workspace.dir / "pki/front-proxy-ca.crt").read_bytes())
    before = workspace.files()
    with pytest.raises(PkiError, match=r"^ca: the certificate does not match its private key; restore"):
        workspace.issue()
    assert workspace.files() == before
    with pytest.raises(PkiError, match=r"pki/ca\.key\.age: the key does not match clusters/prod/pki/ca\.crt; restore"):
        check_keys(workspace.cluster, workspace.dir, workspace.identity())


def test_another_identity_is_named(workspace: Workspace) -> None:
    workspace.issue()
    workspace.identity_file.unlink()
    create_identity(workspace.identity_file)
    workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    with pytest.raises(SealingError, match=r"pki/ca\.key\.age: the identity .* is not among its recipients; use"):
        workspace.issue()


# --- interruptions --------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


@settings(max_examples=40)
@given(first=st.integers(1, 40), second=st.integers(1, 12))
def test_an_issue_that_is_killed_leaves_whole_pairs_and_is_taken_up(
    tmp_path_factory: pytest.TempPathFactory, first: int, second: int
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("killed"))
    workspace.dir.mkdir(parents=True)
    (workspace.dir / "recipients.txt").write_text(create_identity(workspace.identity_file) + "\n")
    workspace.edit({})
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, first)
        try_issue(workspace)
    whole_pairs(workspace)
    workspace.issue()
    ca = workspace.files()["pki/ca.crt"]
    workspace.edit({"hosts": {"cp-1": {"address": "10.0.0.9"}}})
    with pytest.MonkeyPatch.context() as patch:
        kill_after(patch, second)
        try_issue(workspace)
    whole_pairs(workspace)
    workspace.issue()
    check_keys(workspace.cluster, workspace.dir, workspace.identity())
    assert workspace.files()["pki/ca.crt"] == ca
    assert not workspace.issue().changed
    assert not list(workspace.dir.rglob(".*"))


def kill_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Let the process die at the n-th change of the file system, rename or removal."""
    left = [steps]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*arguments, **named)

        return call

    patch.setattr(writing.os, "replace", counted(writing.os.replace))
    patch.setattr(Path, "unlink", counted(Path.unlink))


def try_issue(workspace: Workspace) -> None:
    with contextlib.suppress(Killed):
        workspace.issue()


def whole_pairs(workspace: Workspace) -> None:
    """Every certificate that lies there belongs to the key beside it."""
    identity = workspace.identity()
    store = workspace.store
    for request in certificates(workspace.cluster):
        if store.has(request.name) and store.key_path(request.name).is_file():
            key = unseal_file(store.key_path(request.name), identity)
            assert private_key_id(key) == store.key_id(request.name), request.name
        else:
            assert not store.has(request.name), request.name


def test_a_file_that_cannot_be_written_changes_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.issue()
    workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    before = workspace.files()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(PkiError, match="cannot be written"):
        workspace.issue()
    assert workspace.files() == before


@settings(max_examples=60)
@given(
    which=st.floats(0, 0.999),
    start=st.floats(0, 1),
    length=st.integers(0, 40),
    junk=st.binary(max_size=8),
)
def test_any_damage_gives_an_error_of_ours_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, which: float, start: float, length: int, junk: bytes
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("damaged"))
    workspace.dir.mkdir(parents=True)
    (workspace.dir / "recipients.txt").write_text(create_identity(workspace.identity_file) + "\n")
    workspace.edit({})
    workspace.issue()
    workspace.edit({"api": {"extraSANs": ["kube.example.org"]}})
    names = sorted(workspace.files())
    path = workspace.dir / names[int(which * len(names))]
    old = path.read_bytes()
    at = int(start * len(old))
    path.write_bytes(old[:at] + junk + old[at + length :])
    try:
        workspace.issue()
        check_keys(workspace.cluster, workspace.dir, workspace.identity())
        certificate_list(workspace.cluster, workspace.store, NOW)
    except SlipwayError as error:
        assert str(error)


def test_git_sees_nothing_after_a_second_issue(workspace: Workspace) -> None:
    workspace.issue()

    def git(*arguments: str) -> str:
        settings = ["-c", "user.name=t", "-c", "user.email=t@example.net"]
        return subprocess.run(
            ["git", "-C", str(workspace.dir), *settings, *arguments], capture_output=True, text=True, check=True
        ).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "issued")
    issue(workspace.cluster, workspace.dir, clock=lambda: NOW + YEAR, identity=no_identity)
    assert git("status", "--porcelain") == ""


def no_identity() -> Identity:
    raise AssertionError("an identity was asked for")
