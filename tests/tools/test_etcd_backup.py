"""The backup script against a real etcd with TLS: what it makes, what it refuses to count, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.tools import s3_store
from tests.tools.real_etcd import Etcd, free_port, make_pki, members_at, needed, running

pytestmark = pytest.mark.tools

SCRIPT = files("generator.components") / "etcd-backup.sh"
SHELLS = ("dash", "bash")
BUSYBOX = "busybox sh"
"""The shell of the pod's image, which takes its own programs before those in the path."""


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    needed("etcd", "etcdctl")
    folder = tmp_path_factory.mktemp("etcd")
    with running(members_at(folder), make_pki(folder / "pki")) as found:
        for number in range(20):
            found.put(f"/registry/things/{number}", f"value {number}")
        yield found


class Place:
    """The folders of one host, the settings of its backup, and the script run with them."""

    def __init__(self, folder: Path, etcd: Etcd) -> None:
        self.config, self.target = folder / "config", folder / "target"
        self.state, self.work = folder / "state", folder / "work"
        for one in (self.config, self.target):
            one.mkdir()
        for one in etcd.pki.iterdir():
            (self.config / one.name).write_bytes(one.read_bytes())
        self.settings = {
            "cluster": "demo", "endpoints": etcd.members[0].client, "etcdctl": "/usr/bin/etcdctl",
            "snapshots": "/usr/bin/etcdctl", "kubernetes": "1.36.1", "retention": "3", "target": "folder",
            "folder": str(self.target), "state": str(self.state), "work": str(self.work), "patience": "60",
        }  # fmt: skip
        self.bin = folder / "bin"
        self.bin.mkdir()

    def stand_in(self, name: str, body: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def start(self, *words: str, shell: str = "dash") -> subprocess.Popen[str]:
        (self.config / "settings").write_text("".join(f"{name} {value}\n" for name, value in self.settings.items()))
        return subprocess.Popen(
            [*shell.split(), str(SCRIPT), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={
                **os.environ, "ETCD_BACKUP_CONFIG": str(self.config), "PATH": f"{self.bin}:{os.environ['PATH']}",
            },
        )  # fmt: skip

    def run(self, *words: str, shell: str = "dash") -> tuple[int, str]:
        process = self.start(*words, shell=shell)
        out, err = process.communicate(timeout=90)
        assert out == "", "what it says is for the journal"
        return process.returncode, err

    def good(self, *words: str, shell: str = "dash") -> str:
        """Run it well and return the name that it made."""
        code, said = self.run(*words, shell=shell)
        assert code == 0, said
        return str(self.last_good()[4])

    def last_good(self) -> list[str]:
        return (self.state / "last-good").read_text().split()

    def names(self) -> list[str]:
        return sorted(one.name for one in self.target.iterdir())


@pytest.fixture
def place(tmp_path: Path, etcd: Etcd) -> Place:
    needed(*SHELLS)
    return Place(tmp_path, etcd)


@pytest.mark.parametrize("shell", [*SHELLS, BUSYBOX])
def test_a_backup_is_whole_described_and_told(place: Place, etcd: Etcd, shell: str) -> None:
    needed(shell.split()[0])
    name = place.good(shell=shell)
    stem = name.removesuffix(".db")
    assert place.names() == [name, f"{stem}.json"]
    described = json.loads((place.target / f"{stem}.json").read_text())
    content = (place.target / name).read_bytes()
    assert described["sha256"] == described["snapshotSHA256"] == hashlib.sha256(content).hexdigest()
    assert described["size"] == len(content) and described["file"] == name and described["cluster"] == "demo"
    assert described["members"] == [{"name": "m1", "peerURL": etcd.members[0].peer}]
    assert described["etcd"] and described["kubernetes"] == "1.36.1"
    told = json.loads(
        subprocess.run(
            ["etcdctl", "snapshot", "status", str(place.target / name), "-w", "json"], capture_output=True, check=True
        ).stdout
    )
    assert (described["hash"], described["revision"]) == (told["hash"], told["revision"])
    assert place.last_good()[1:3] == [str(told["revision"]), str(told["hash"])]
    assert stem.endswith(f"-{told['revision']}") and oct((place.target / name).stat().st_mode & 0o777) == "0o600"
    assert not list(place.work.iterdir()), "nothing is left of the work"


def test_a_snapshot_comes_back_with_keys_and_revisions(place: Place, etcd: Etcd, tmp_path: Path) -> None:
    """Three new members are made of one snapshot; the same keys with the same revisions are in each of them."""
    before = etcd.keys()
    snapshot = place.target / place.good()
    members = members_at(tmp_path / "new", 3)
    cluster = ",".join(f"{one.name}={one.peer}" for one in members)
    for one in members:
        subprocess.run(
            ["etcdctl", "snapshot", "restore", str(snapshot), f"--name={one.name}", f"--data-dir={one.data}",
             f"--initial-cluster={cluster}", "--initial-cluster-token=another",
             f"--initial-advertise-peer-urls={one.peer}"],
            check=True, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"},
        )  # fmt: skip
    with running(members, etcd.pki, state="existing") as restored:
        assert [restored.keys(one.client) for one in members] == [before] * 3
        assert restored.cluster_id() != etcd.cluster_id()


def test_it_is_encrypted_where_there_are_recipients(place: Place, tmp_path: Path) -> None:
    needed("age", "age-keygen")
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", str(identity)], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True).stdout
    (place.config / "recipients").write_text(public)
    place.settings["age"] = "/usr/bin/age"
    name = place.good()
    assert name.endswith(".db.age") and (place.target / name).read_bytes().startswith(b"age-encryption.org/v1\n")
    described = json.loads((place.target / f"{name.removesuffix('.db.age')}.json").read_text())
    opened = subprocess.run(
        ["age", "--decrypt", "-i", str(identity), str(place.target / name)], check=True, capture_output=True
    ).stdout
    assert hashlib.sha256(opened).hexdigest() == described["snapshotSHA256"] != described["sha256"]
    assert len(opened) == described["snapshotSize"]


def test_recipients_that_age_does_not_know_send_nothing(place: Place) -> None:
    needed("age")
    (place.config / "recipients").write_text("age1nobody\n")
    place.settings["age"] = "/usr/bin/age"
    code, said = place.run()
    assert code == 1 and "age does not encrypt: " in said
    assert place.names() == [] and not (place.state / "last-good").exists()


def test_the_first_healthy_member_is_asked_and_the_local_one_first(place: Place, etcd: Etcd) -> None:
    dead, own = f"https://127.0.0.1:{free_port()}", etcd.members[0].client
    place.settings["endpoints"] = f"{dead} {own}"
    name = place.good()
    assert json.loads((place.target / name.replace(".db", ".json")).read_text())["endpoint"] == own
    (place.config / "host").write_text(f"own {own}\n")
    place.stand_in(
        "etcdctl", f'case "$*" in *{dead}*) echo asked >{place.bin}/dead ;; esac; exec /usr/bin/etcdctl "$@"'
    )
    place.settings["etcdctl"] = str(place.bin / "etcdctl")
    place.good()
    assert not (place.bin / "dead").exists()


def test_without_a_healthy_member_it_says_why(place: Place) -> None:
    place.settings["endpoints"] = f"https://127.0.0.1:{free_port()} https://127.0.0.1:{free_port()}"
    code, said = place.run()
    assert code == 1 and "no member of etcd is healthy" in said and said.count("https://127.0.0.1:") >= 2
    assert place.names() == []
    assert "no member of etcd is healthy" in (place.state / "last-failure").read_text()


def test_a_failure_is_forgotten_after_a_good_one(place: Place, etcd: Etcd) -> None:
    place.settings["endpoints"] = f"https://127.0.0.1:{free_port()}"
    assert place.run()[0] == 1
    place.settings["endpoints"] = etcd.members[0].client
    place.good()
    assert not (place.state / "last-failure").exists()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("head -c 8192 $last >$last.cut; mv $last.cut $last", "does not end with its hash"),
        ("printf X | dd of=$last bs=1 seek=5000 conv=notrunc 2>/dev/null", "is not what its own hash says"),
        (": >$last", "is empty"),
    ],
)
def test_a_snapshot_that_is_not_whole_never_counts(place: Place, damage: str, reason: str) -> None:
    place.stand_in(
        "etcdctl",
        f'/usr/bin/etcdctl "$@" || exit; case "$*" in *"snapshot save"*) for last; do :; done; {damage} ;; esac',
    )
    place.settings["etcdctl"] = str(place.bin / "etcdctl")
    code, said = place.run()
    assert code == 1 and reason in said, said
    assert place.names() == [] and not (place.state / "last-good").exists()


def test_a_full_disk_leaves_no_name_and_keeps_the_last_good_one(place: Place) -> None:
    kept = place.good()
    before = place.names()
    # What a full disk does: the copy stops somewhere with an error.
    place.stand_in("cp", 'head -c 4096 "$1" >"$2"; echo "cp: error writing: No space left on device" >&2; exit 1')
    code, said = place.run()
    assert code == 1 and "No space left on device" in said
    assert place.names() == before and place.last_good()[4] == kept


def test_a_copy_that_reads_back_otherwise_does_not_count(place: Place) -> None:
    place.stand_in("cp", '/usr/bin/cp "$1" "$2" && printf X | dd of="$2" bs=1 seek=10 conv=notrunc 2>/dev/null')
    code, said = place.run()
    assert code == 1 and "reads back" in said and place.names() == []


def test_a_target_that_is_not_there_is_named(place: Place) -> None:
    place.settings["folder"] = str(place.target / "nowhere")
    code, said = place.run()
    assert code == 1 and "nowhere cannot be written" in said and "is the volume mounted" in said


def test_the_newest_stay_and_nothing_of_others_goes(place: Place) -> None:
    old = [f"etcd-demo-202001{day:02}T011000Z-{day}" for day in range(1, 6)]
    for stem in old:
        for ending in ("db", "json"):
            (place.target / f"{stem}.{ending}").write_text("old")
    others = ["etcd-demo-two-20200101T011000Z-9.db", "notes.txt", "etcd-demo-20200101T011000Z-1.db.bak"]
    for name in others:
        (place.target / name).write_text("of somebody else")
    (place.target / ".etcd-demo-20200101T011000Z-7.db.partial").write_text("of a run that was killed")
    name = place.good()
    kept = [name, name.replace(".db", ".json"), *(f"{stem}.{ending}" for stem in old[-2:] for ending in ("db", "json"))]
    assert place.names() == sorted([*kept, *others])


def test_two_at_once_are_one(place: Place) -> None:
    place.state.mkdir()
    holder = subprocess.Popen(["flock", str(place.state / "lock"), "sleep", "30"], start_new_session=True)
    try:
        time.sleep(0.3)
        code, said = place.run()
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
    assert code == 1 and "another backup is under way" in said
    assert place.names() == [] and not (place.state / "last-failure").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_target_that_hangs_is_given_up(place: Place, shell: str) -> None:
    # A process that no signal ends, as one on a dead NFS server, cannot be made here; one that passes over TERM can.
    place.stand_in("cp", "trap '' TERM; echo $$ >$0.pid; while :; do sleep 1; done")
    place.settings["patience"] = "2"
    code, said = place.run(shell=shell)
    assert code == 1 and "took longer than 2 s and was given up" in said, said
    assert place.names() == [] and not (place.state / "last-good").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((place.bin / "cp.pid").read_text()), 0)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(place: Place, number: signal.Signals, shell: str) -> None:
    place.stand_in("cp", f'head -c 100 "$1" >"$2"; touch {place.bin}/begun; sleep 20')
    process = place.start(shell=shell)
    end = time.monotonic() + 30
    while not (place.bin / "begun").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode not in (0, None), said
    assert place.names() == [] and not list(place.work.iterdir())
    assert not (place.state / "last-good").exists()


def test_hosts_that_share_a_target_make_one_backup(place: Place) -> None:
    place.settings["fresh"] = "3600"
    name = place.good()
    code, said = place.run()
    assert code == 0 and f"{name} was made a short time ago" in said
    assert len(place.names()) == 2
    time.sleep(1.1)
    assert place.good("now") != name


def test_an_unknown_setting_is_named(place: Place) -> None:
    place.settings["retension"] = "3"
    code, said = place.run()
    assert code == 1 and "the setting retension is not known" in said


@pytest.fixture
def store() -> Iterator[s3_store.Store]:
    needed("curl")
    with s3_store.serving() as found:
        yield found


@pytest.fixture
def stored(place: Place, store: s3_store.Store) -> Place:
    place.settings |= {
        "target": "s3", "s3-endpoint": store.url, "s3-bucket": s3_store.BUCKET, "s3-prefix": "prod/etcd/",
        "s3-region": s3_store.REGION,
    }  # fmt: skip
    (place.config / "s3").write_text(f"AWS_ACCESS_KEY_ID={s3_store.ACCESS}\nAWS_SECRET_ACCESS_KEY={s3_store.SECRET}")
    return place


@pytest.mark.parametrize("shell", [*SHELLS, BUSYBOX])
def test_s3_gets_it_signed_and_keeps_as_many(stored: Place, store: s3_store.Store, shell: str) -> None:
    needed(shell.split()[0])
    for day in range(1, 6):
        store.objects[f"prod/etcd/etcd-demo-202001{day:02}T011000Z-{day}.db"] = b"old"
        store.objects[f"prod/etcd/etcd-demo-202001{day:02}T011000Z-{day}.json"] = b"old"
    name = stored.good(shell=shell)
    assert not store.faults
    assert hashlib.sha256(store.objects[f"prod/etcd/{name}"]).hexdigest() == json.loads(
        store.objects[f"prod/etcd/{name.replace('.db', '.json')}"]
    )["sha256"]  # fmt: skip
    assert sorted(key for key in store.objects if key.endswith(".db")) == [
        "prod/etcd/etcd-demo-20200104T011000Z-4.db", "prod/etcd/etcd-demo-20200105T011000Z-5.db", f"prod/etcd/{name}",
    ]  # fmt: skip
    assert len(store.objects) == 6


def test_neither_key_is_in_a_list_of_processes(stored: Place, store: s3_store.Store) -> None:
    stored.stand_in("curl", f'echo "$*" >>{stored.bin}/words; exec /usr/bin/curl "$@"')
    stored.good()
    said = (stored.bin / "words").read_text()
    assert s3_store.SECRET not in said and s3_store.ACCESS not in said and "Signature" not in said


@pytest.mark.parametrize(
    ("change", "reason"), [("refuses", "507 InsufficientStorage"), ("cuts", "is not at"), ("", "SignatureDoesNotMatch")]
)
def test_what_s3_refuses_does_not_count(stored: Place, store: s3_store.Store, change: str, reason: str) -> None:
    store.broken = change
    if not change:
        (stored.config / "s3").write_text(f"AWS_ACCESS_KEY_ID={s3_store.ACCESS}\nAWS_SECRET_ACCESS_KEY=wrong\n")
    code, said = stored.run()
    assert code == 1 and reason in said, said
    assert not (stored.state / "last-good").exists()
    assert not [key for key in store.objects if key.endswith(".db")]


def test_a_store_that_is_away_is_named(stored: Place) -> None:
    stored.settings["s3-endpoint"] = f"http://127.0.0.1:{free_port()}"
    code, said = stored.run()
    assert code == 1 and "does not answer: curl: (7)" in said


def test_shellcheck_finds_nothing() -> None:
    needed("shellcheck")
    words = ["shellcheck", "--shell=sh", "--severity=warning", str(SCRIPT)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
