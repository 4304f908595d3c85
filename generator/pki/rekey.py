"""Sealing anew: every sealed file of a cluster for the recipients that recipients.txt has now. No value changes.

All is opened and proved first, all is sealed in memory, and only then written: beside their places, then renamed. So a
fault changes nothing, and what a kill leaves is sealed for the old or the new recipients, file by file; running again
finishes it. Ids follow from values, so the rendered tree stays as it is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from generator import sealing
from generator.errors import PkiError, RefusedError, SealingError
from generator.pki.issuing import load_certificates
from generator.pki.keys import key_id, load_key
from generator.pki.writing import SUFFIX, Changes
from generator.sealing import RECIPIENTS_FILE, Identity, shown
from generator.sealing.stanzas import difference, stanzas


@dataclass(frozen=True, slots=True)
class RekeyReport:
    """What was sealed anew: paths from clusters/ on, and how many recipients can open them now.

    `added` and `removed` are recipients, as lines of recipients.txt where git or the header tells which, else in words.
    """

    files: tuple[str, ...]
    recipients: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def sealed_files(cluster_dir: Path) -> tuple[Path, ...]:
    """Return every sealed file of a cluster, whatever it holds, sorted by path."""
    found = [path for folder in ("pki", "secrets") for path in (cluster_dir / folder).rglob("*.age")]
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def rekey(
    cluster_dir: Path,
    *,
    identity: Callable[[], Identity],
    dry_run: bool = False,
    agree: Callable[[str], bool] = lambda question: False,
) -> RekeyReport:
    """Seal every sealed file of a cluster for the present recipients.

    `agree` is asked where the identity in use is not among them, since its holder opens nothing afterwards. With
    `dry_run` everything is opened and proved and nothing is written. Raises SealingError or PkiError with all files
    that do not open or do not match, RefusedError without consent; then nothing was changed.
    """
    recipients = sealing.cluster_recipients(cluster_dir)
    files = sealed_files(cluster_dir)
    if not files:
        raise SealingError(f"{shown(cluster_dir)}: nothing is sealed there yet; `invoke render` makes what it needs")
    who = identity()
    values = _opened(files, who)
    _prove(cluster_dir, values)
    added, removed = _difference(cluster_dir, files, recipients)
    report = RekeyReport(tuple(shown(path) for path in files), len(recipients), added, removed)
    sealed = {path: sealing.seal(value, recipients) for path, value in values.items()}
    if dry_run:
        return report
    if not _opens(next(iter(sealed.values())), who) and not agree(
        f"{who.path} is not among the recipients: after this you open nothing of this cluster. Go on?"
    ):
        raise RefusedError(
            f"{shown(cluster_dir / RECIPIENTS_FILE)}: the identity {who.path} is not among the recipients, so you "
            "would shut yourself out; write its public half into the file, or agree with --yes"
        )
    changes = Changes()
    for path, text in sealed.items():
        changes.put(path, text)
    for folder in ("pki", "secrets"):
        for path in (cluster_dir / folder).rglob(f".*{SUFFIX}"):  # of a rekey or issue that was killed
            if path.with_name(path.name.removeprefix(".").removesuffix(SUFFIX)) not in sealed:
                changes.remove(path)
    changes.write()
    return report


def _opened(files: tuple[Path, ...], identity: Identity) -> dict[Path, bytes]:
    values: dict[Path, bytes] = {}
    faults: list[str] = []
    for path in files:
        try:
            values[path] = sealing.unseal_file(path, identity)
        except SealingError as error:
            faults.append(str(error))
    if faults:
        raise SealingError("\n".join(faults))
    return values


def _prove(cluster_dir: Path, values: dict[Path, bytes]) -> None:
    """Compare each private key with what lies beside it in plain text; raise PkiError with all that do not match."""
    faults: list[str] = []
    for path, value in values.items():
        if not path.is_relative_to(cluster_dir / "pki") or not path.name.endswith(".key.age"):
            continue
        stem = path.with_name(path.name.removesuffix(".key.age"))
        for beside in (stem.with_name(f"{stem.name}{ending}") for ending in (".crt", ".pub", ".csr")):
            if beside.is_file() and _public_id(beside) != key_id(load_key(value, shown(path))):
                faults.append(f"{shown(path)}: the key does not match {shown(beside)}; restore both from one commit")
    if faults:
        raise PkiError("\n".join(faults))


def _public_id(path: Path) -> str:
    data = path.read_bytes()
    try:
        if path.suffix == ".crt":
            return key_id(load_certificates(data, shown(path))[0].public_key())
        if path.suffix == ".csr":
            return key_id(x509.load_pem_x509_csr(data).public_key())
        return key_id(serialization.load_pem_public_key(data))
    except ValueError:
        raise PkiError(f"{shown(path)}: there is no public key in it; restore the file from git") from None


def _opens(text: str, identity: Identity) -> bool:
    try:
        sealing.unseal(text, identity)
    except SealingError:
        return False
    return True


def _difference(
    cluster_dir: Path, files: tuple[Path, ...], recipients: tuple[sealing.Recipient, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who came and who left: by the recipients.txt of the commits that sealed the files, else by headers."""
    added: dict[str, None] = {}
    removed: dict[str, None] = {}
    now = {_public_key(recipient.text): recipient.text for recipient in recipients}
    for text in _recipients_then(cluster_dir, files):
        lines = (line.strip() for line in text.splitlines())
        before = {_public_key(line): line for line in lines if line and not line.startswith("#")}
        added |= {line: None for key, line in now.items() if key not in before}
        removed |= {line: None for key, line in before.items() if key not in now}
    if not added and not removed:
        for path in files:
            new, gone = difference(stanzas(path.read_text("utf-8"), shown(path)), recipients)
            added |= dict.fromkeys(new)
            removed |= dict.fromkeys(gone)
    return tuple(sorted(added)), tuple(sorted(removed))


def _public_key(line: str) -> str:
    """Return a recipient without its comment."""
    return " ".join(line.split()[: 2 if line.startswith("ssh-") else 1])


def _recipients_then(cluster_dir: Path, files: tuple[Path, ...]) -> set[str]:
    """Return what recipients.txt said in the commits that last changed the files; nothing where git tells nothing."""

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(cluster_dir), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    try:
        dirty = set(git("diff", "--name-only", "--relative", "HEAD", "--", "pki", "secrets").splitlines())
        wanted = {path.relative_to(cluster_dir).as_posix() for path in files} - dirty
        commits: set[str] = set()
        commit = ""
        for line in git("log", "--format=commit %H", "--name-only", "--relative", "--", "pki", "secrets").splitlines():
            if line.startswith("commit "):
                commit = line.removeprefix("commit ")
            elif line in wanted:
                wanted.remove(line)
                commits.add(commit)
        return {git("show", f"{commit}:./{RECIPIENTS_FILE}") for commit in commits}
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return set()
