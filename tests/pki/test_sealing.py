"""age: recipients and their faults, identities and where they are looked for, passphrases, damage."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from generator.errors import SealingError
from generator.sealing import (
    create_identity,
    identity_once,
    identity_path,
    is_sealed,
    load_identity,
    parse_recipient,
    public_half,
    read_recipients,
    seal,
    sealed_path,
    unseal,
    unseal_file,
)

PASSPHRASE = "correct horse"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def nobody(prompt: str) -> str:
    raise AssertionError(f"asked for {prompt}")


def ssh_key(path: Path, key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, passphrase: str = "") -> str:
    """Write an OpenSSH private key and return its public line."""
    lock: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, lock))
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{public.decode()} me@example.net"


# --- recipients -----------------------------------------------------------------------------------------------------


def test_every_recipient_opens_what_was_sealed_for_all(home: Path) -> None:
    lines = [
        "# who may open the secrets of this cluster",
        "",
        create_identity(home / "one"),
        ssh_key(home / "two", ed25519.Ed25519PrivateKey.generate()),
        f"  {ssh_key(home / 'three', rsa.generate_private_key(public_exponent=65537, key_size=2048))}  ",
    ]
    (home / "recipients.txt").write_text("\n".join(lines) + "\n")
    recipients = read_recipients(home / "recipients.txt")
    assert len(recipients) == 3
    text = seal(b"value", recipients)
    assert is_sealed(text) and text.isascii() and "value" not in text
    for name in ("one", "two", "three"):
        assert unseal(text, load_identity({"SLIPWAY_IDENTITY": str(home / name)}, home, nobody)) == b"value"


def test_all_faults_of_recipients_are_told_with_file_and_line(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "clusters" / "prod" / "recipients.txt"
    path.parent.mkdir(parents=True)
    good = create_identity(home / "one")
    private = (home / "one").read_text().splitlines()[1]
    lines = [good, "# a comment", good[:-1] + "q", "ssh-dss AAAA me", private, "me@example.net", "ssh-ed25519 AAAA"]
    path.write_text("\n".join(lines))
    with pytest.raises(SealingError) as caught:
        read_recipients(path)
    faults = str(caught.value).splitlines()
    assert [fault.split(": ")[0] for fault in faults] == [f"clusters/prod/recipients.txt:{n}" for n in (3, 4, 5, 6, 7)]
    for fault, words in zip(
        faults, ("copy it again", "ssh-dss", "private key", "no recipient", "copy it"), strict=True
    ):
        assert words in fault
    assert private not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"), [("", "there is no recipient"), ("# only words\n", "there is no recipient")]
)
def test_nobody_to_seal_for_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipients.txt").write_text(text)
    with pytest.raises(SealingError, match=words):
        read_recipients(tmp_path / "recipients.txt")
    with pytest.raises(SealingError, match="nobody to seal for"):
        seal(b"value", ())


def test_a_missing_recipients_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match=r"recipients\.txt: there is no such file; write one public key per line"):
        read_recipients(tmp_path / "recipients.txt")


# --- age plugins ----------------------------------------------------------------------------------------------------

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32(prefix: str, data: bytes) -> str:
    """Encode as BIP 173 does, without its length limit."""
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    count = (len(data) * 8 + 4) // 5
    values = [bits >> 5 * (count - 1 - i) & 31 for i in range(count)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = 1
    for value in [*expanded, *values, 0, 0, 0, 0, 0, 0]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, g in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= g if top >> i & 1 else 0
    check ^= 1
    return (
        prefix
        + "1"
        + "".join(CHARSET[v] for v in values)
        + "".join(CHARSET[check >> 5 * (5 - i) & 31] for i in range(6))
    )


PLUGIN = """\
import sys
def command():
    line = sys.stdin.readline()
    body = ""
    while True:
        part = sys.stdin.readline()
        body += part.rstrip("\\n")
        if len(part.rstrip("\\n")) < 64:
            return line.split()[1:], body
def say(*words, body=""):
    sys.stdout.write("-> " + " ".join(words) + "\\n" + body + "\\n")
    sys.stdout.flush()
def ok():
    command()
keys, stanzas = [], []
while True:
    words, body = command()
    if words[0] == "wrap-file-key":
        keys.append(body)
    elif words[0] == "recipient-stanza" and words[2] == "plain":
        stanzas.append((words[1], body))
    elif words[0] == "done":
        break
if "recipient" in sys.argv[1]:
    for number, key in enumerate(keys):
        say("recipient-stanza", str(number), "plain", body=key)
        ok()
else:
    done = set()
    for number, body in stanzas:
        if number not in done:
            done.add(number)
            say("file-key", number, body=body)
            ok()
say("done")
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "age-plugin-plain").write_text(f"#!{sys.executable}\n{PLUGIN}")
    (folder / "age-plugin-plain").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_an_age_plugin_seals_and_opens(plugin: None, home: Path) -> None:
    recipient = parse_recipient(bech32("age1plain", b"recipient"))
    (home / "plain").write_text(bech32("age-plugin-plain-", b"identity").upper() + "\n")
    text = seal(b"value", (recipient, parse_recipient(create_identity(home / "one"))))
    assert unseal(text, load_identity({"SLIPWAY_IDENTITY": str(home / "plain")}, home, nobody)) == b"value"
    assert unseal(text, load_identity({"SLIPWAY_IDENTITY": str(home / "one")}, home, nobody)) == b"value"


def test_a_plugin_that_is_not_installed_is_named(home: Path) -> None:
    recipient = parse_recipient(bech32("age1yubikey", b"recipient"))
    with pytest.raises(SealingError, match="age-plugin-yubikey is not installed; install it"):
        seal(b"value", (recipient,))
    (home / "key").write_text(bech32("age-plugin-yubikey-", b"identity").upper() + "\n")
    with pytest.raises(SealingError, match=r"key:1: .* age-plugin-yubikey is not installed; install it"):
        load_identity({"SLIPWAY_IDENTITY": str(home / "key")}, home, nobody)


# --- where an identity is looked for --------------------------------------------------------------------------------


def test_the_order_of_places(home: Path) -> None:
    with pytest.raises(SealingError, match="no identity to open sealed secrets: SLIPWAY_IDENTITY is not set"):
        identity_path({}, home)
    ssh_key(home / ".ssh" / "id_ed25519", ed25519.Ed25519PrivateKey.generate())
    assert identity_path({}, home) == home / ".ssh" / "id_ed25519"
    create_identity(home / ".config" / "slipway" / "identity")
    assert identity_path({}, home) == home / ".config" / "slipway" / "identity"
    create_identity(home / "other")
    assert identity_path({"SLIPWAY_IDENTITY": str(home / "other")}, home) == home / "other"
    assert identity_path({"SLIPWAY_IDENTITY": "~/other"}, home) == home / "other"


def test_a_variable_that_names_no_file_does_not_fall_back(home: Path) -> None:
    create_identity(home / ".config" / "slipway" / "identity")
    with pytest.raises(SealingError, match=r"/nowhere: SLIPWAY_IDENTITY names this file and it does not exist"):
        identity_path({"SLIPWAY_IDENTITY": "/nowhere"}, home)


def test_a_key_in_the_variable_is_refused_and_not_printed(home: Path) -> None:
    create_identity(home / "one")
    ssh_key(home / "two", ed25519.Ed25519PrivateKey.generate())
    for value in ((home / "one").read_text().splitlines()[1], (home / "two").read_text()):
        with pytest.raises(SealingError, match="holds a private key; it must name the file") as caught:
            identity_path({"SLIPWAY_IDENTITY": value}, home)
        assert not any(line in str(caught.value) for line in value.splitlines())


def test_a_new_identity_is_private_new_and_outside_the_workspace(home: Path) -> None:
    path = home / ".config" / "slipway" / "identity"
    old = os.umask(0)
    try:
        public = create_identity(path, home / "workspace")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert parse_recipient(public).text == public
    with pytest.raises(SealingError, match="there is an identity already"):
        create_identity(path)
    with pytest.raises(SealingError, match="must not lie in the workspace"):
        create_identity(home / "workspace" / "clusters" / "identity", home / "workspace")
    assert not (home / "workspace").exists()


def test_the_public_half_of_an_identity_is_what_recipients_hold(home: Path) -> None:
    assert create_identity(home / "one") == public_half(home / "one", nobody)
    line = ssh_key(home / "two", ed25519.Ed25519PrivateKey.generate(), PASSPHRASE)
    with pytest.raises(SealingError, match=r"two\.pub: it is not there; `ssh-keygen -y"):
        public_half(home / "two", nobody)
    (home / "two.pub").write_text(f"{line}\n")
    assert line.startswith(public_half(home / "two", nobody))


# --- what an identity file may hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_with_a_passphrase_is_asked_for_once_and_opened_in_memory(home: Path, kind: str) -> None:
    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    public = ssh_key(home / ".ssh" / "id_ed25519", key, PASSPHRASE)
    text = seal(b"value", (parse_recipient(public),))
    before = sorted(path for path in home.rglob("*"))
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return PASSPHRASE

    provider = identity_once({}, home, ask)
    assert prompts == []
    assert unseal(text, provider()) == unseal(text, provider()) == b"value"
    assert prompts == [f"passphrase of {home}/.ssh/id_ed25519"]
    assert sorted(path for path in home.rglob("*")) == before
    with pytest.raises(SealingError, match=r"id_ed25519: the ssh key does not open; check the passphrase") as caught:
        load_identity({}, home, lambda prompt: "wrong")
    assert "wrong" not in str(caught.value)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_key_as_ssh_keygen_writes_it(home: Path) -> None:
    path = home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", path], check=True)
    text = seal(b"value", read_recipients(home / "key.pub"))
    assert unseal(text, load_identity({"SLIPWAY_IDENTITY": str(path)}, home, lambda prompt: PASSPHRASE)) == b"value"


def test_without_a_terminal_nothing_waits_for_a_passphrase(home: Path) -> None:
    ssh_key(home / "key", ed25519.Ed25519PrivateKey.generate(), PASSPHRASE)
    code = (
        "import sys; from generator.errors import SealingError; from generator.sealing import load_identity\n"
        "try: load_identity()\n"
        "except SealingError as error: sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SLIPWAY_IDENTITY": str(home / "key")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no terminal to ask on; run this on a terminal, or point SLIPWAY_IDENTITY" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_age_identity_may_itself_be_sealed_with_a_passphrase(home: Path) -> None:
    public = create_identity(home / "plain")
    (home / "locked").write_bytes(pyrage.passphrase.encrypt((home / "plain").read_bytes(), PASSPHRASE))
    where = {"SLIPWAY_IDENTITY": str(home / "locked")}
    text = seal(b"value", (parse_recipient(public),))
    assert unseal(text, load_identity(where, home, lambda prompt: PASSPHRASE)) == b"value"
    with pytest.raises(SealingError, match="check the passphrase"):
        load_identity(where, home, lambda prompt: "wrong")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no key in the file"),
        ("# nothing\n", "no key in the file"),
        ("age1qqqq\n", ":1: no age identity"),
        ("AGE-SECRET" + "-KEY-1QQQQ\n", ":1: no age identity"),
    ],
)
def test_a_file_that_is_no_identity_is_named_and_not_quoted(home: Path, content: str, words: str) -> None:
    (home / "key").write_text(content)
    with pytest.raises(SealingError, match=words) as caught:
        load_identity({"SLIPWAY_IDENTITY": str(home / "key")}, home, nobody)
    assert str(home / "key") in str(caught.value)
    assert "QQQQ" not in str(caught.value).upper()


def test_a_key_type_that_age_does_not_know_is_refused(home: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (home / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    )
    with pytest.raises(SealingError, match="ssh key of this type; use an ed25519, rsa or age key"):
        load_identity({"SLIPWAY_IDENTITY": str(home / "key")}, home, nobody)


def test_no_key_shows_in_a_repr(home: Path) -> None:
    create_identity(home / "one")
    secret = (home / "one").read_text().splitlines()[1]
    identity = load_identity({"SLIPWAY_IDENTITY": str(home / "one")}, home, nobody)
    assert secret not in repr(identity) and secret not in str(identity)


# --- opening --------------------------------------------------------------------------------------------------------


def test_where_secrets_lie(tmp_path: Path) -> None:
    assert sealed_path(tmp_path, "pki/hosts/cp-1/etcd/peer") == tmp_path / "pki/hosts/cp-1/etcd/peer.key.age"
    assert sealed_path(tmp_path, "encryption/1") == tmp_path / "secrets/encryption/1.age"


def test_a_foreign_identity_and_a_missing_file_are_named(tmp_path: Path, home: Path) -> None:
    public = create_identity(home / "one")
    create_identity(home / "two")
    path = tmp_path / "clusters" / "prod" / "pki" / "ca.key.age"
    foreign = load_identity({"SLIPWAY_IDENTITY": str(home / "two")}, home, nobody)
    with pytest.raises(SealingError, match=r"^clusters/prod/pki/ca\.key\.age: there is no such sealed file; restore"):
        unseal_file(path, foreign)
    path.parent.mkdir(parents=True)
    path.write_text(seal(b"value", (parse_recipient(public),)))
    with pytest.raises(
        SealingError, match=r"^clusters/prod/pki/ca\.key\.age: the identity .*/two is not among its recip"
    ):
        unseal_file(path, foreign)


@given(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=8))
def test_damage_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, start: float, length: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    public = create_identity(folder / "identity")
    text = seal(b"value", (parse_recipient(public),)).encode()
    at = int(start * len(text))
    (folder / "x.age").write_bytes(text[:at] + junk + text[at + length :])
    identity = load_identity({"SLIPWAY_IDENTITY": str(folder / "identity")}, folder, nobody)
    try:
        assert unseal_file(folder / "x.age", identity) == b"value"
    except SealingError as error:
        assert "x.age" in str(error) and "\n" not in str(error)


@given(st.binary(max_size=300))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, value: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    public = create_identity(folder / "identity")
    identity = load_identity({"SLIPWAY_IDENTITY": str(folder / "identity")}, folder, nobody)
    assert unseal(seal(value, (parse_recipient(public),)), identity) == value
