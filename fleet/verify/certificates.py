"""The certificates on hosts: read there, and judged by what pki.yaml says of them and by the cluster's CAs.

Two of a node were made by nobody here: the kubelet's client and server certificate, which it asks for and renews by
itself. They must be of the cluster's CA, for this node, and the server's for the names that the reviewed list has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509

from fleet.connection import Connection
from fleet.csr import USER_PREFIX, listed_nodes
from fleet.der import SEQUENCE, DerError, only
from fleet.host_scripts import run_script
from fleet.tree import Host
from fleet.verify.judgement import Wanted, certificate_faults, ends_soon, fingerprint, span, time_faults
from fleet.verify.page import Certificate, Page
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import Verification
from generator.errors import HostError, PkiError
from generator.pki.issuing import load_certificates

CLOCK_LIMIT = timedelta(seconds=60)
"""How far a host's clock may be from that of the operator's machine; certificates begin five minutes before they are
made, so much more does harm."""

_SERVER = frozenset({"digital signature", "server auth"})
_CLIENT = frozenset({"digital signature", "client auth"})
_ENCIPHERMENT = frozenset({"key encipherment"})
Authorities = Mapping[str, Sequence[x509.Certificate]]


@dataclass(frozen=True, slots=True)
class Expected:
    """One file of a host and what its first certificate must be; `fingerprint` "" for what is made on the host."""

    name: str
    path: str
    wanted: Wanted
    fingerprint: str = ""


@dataclass(frozen=True)
class HostFiles:
    """What a host answered: certificates by path (none where the file is missing), and how far its clock is ahead."""

    host: str
    ahead: timedelta
    chains: Mapping[str, tuple[x509.Certificate, ...]] = field(repr=False)


def load_authorities(cluster_dir: Path, page: Page) -> Authorities:
    """Return the cluster's CAs by name, each with those above it; raises PkiError."""
    found: dict[str, Sequence[x509.Certificate]] = {}
    for one in page.certificates:
        if not one.is_ca:
            continue
        path = cluster_dir / "pki" / f"{one.name}.crt"
        where = f"clusters/{cluster_dir.name}/pki/{one.name}.crt"
        try:
            found[one.name] = load_certificates(path.read_bytes(), where)
        except OSError:
            raise PkiError(f"{where} cannot be read; run `invoke render` to issue it") from None
    return found


def expected_leaves(page: Page, host: Host, listed: Mapping[str, str]) -> tuple[Expected, ...]:
    """Return every leaf that a host is to hold, rendered ones first, then the two of its kubelet."""
    found = [
        Expected(one.name.removeprefix(f"hosts/{host.name}/"), path, _wanted(one), one.fingerprint)
        for one in page.of_host(host.name)
        for path, _ in one.files
    ]
    if host.node:
        subject = f"O=system:nodes, CN={USER_PREFIX}{host.node}"
        names = listed_names(listed.get(host.node, ""))
        client = Wanted("ca", subject, (), (_CLIENT, _CLIENT | _ENCIPHERMENT))
        serving = Wanted("ca", subject, names, (_SERVER, _SERVER | _ENCIPHERMENT))
        found.append(Expected("the kubelet's client certificate", page.kubelet_client, client))
        found.append(Expected("the kubelet's serving certificate", page.kubelet_serving, serving))
    return tuple(found)


def authority_files(page: Page, host: Host) -> tuple[tuple[str, str], ...]:
    """Return the files in which a host has CAs, each with the CA's name."""
    return tuple(
        (one.name, path)
        for one in page.certificates
        if one.is_ca
        for path, roles in one.files
        if host.pool.roles & {role.strip() for role in roles.split(",")}
    )


def listed_names(line: str) -> tuple[str, ...]:
    """Return the names in a line of the list of nodes (hex of subject and SAN extension), as pki.yaml writes them."""
    try:
        held = only(bytes.fromhex(line.partition(" ")[2]), SEQUENCE).children()
        return tuple(
            f"IP:{ip_address(one.content)}" if one.tag == 0x87 else f"DNS:{one.content.decode('ascii')}" for one in held
        )
    except (ValueError, DerError):
        return ()


async def read_files(host: Host, connection: Connection, paths: Sequence[str], now: datetime) -> HostFiles:
    """Return the certificates in files of a host; no private key leaves it. Raises HostError."""
    lines = await run_script(connection, "certificates", stdin="".join(f"{path}\n" for path in paths).encode())
    clock, chains = now, dict[str, tuple[x509.Certificate, ...]]()
    try:
        for words in lines:
            if words[0] == "clock":
                clock = datetime.fromtimestamp(int(words[1]), UTC)
            elif words[0] == "certificate":
                chains[words[1]] = _certificates_in(words[2])
    except (IndexError, ValueError, OverflowError):
        raise HostError(
            f"{host.name}: certificates: the answer is not understood; look at the host", host.name
        ) from None
    return HostFiles(host.name, clock - now, chains)


def judged(
    page: Page, host: Host, files: HostFiles, authorities: Authorities, listed: Mapping[str, str], now: datetime
) -> tuple[list[Finding], list[str]]:
    """Return what is wrong with the certificates of a host, and what is near its end."""
    findings, notes = _clock_findings(files), list[str]()
    for name, path in authority_files(page, host):
        findings.extend(_authority_findings(host, name, path, files, authorities, now))
    for leaf in expected_leaves(page, host, listed):
        chain = files.chains.get(leaf.path)
        if not chain:
            what = "is no certificate" if chain is not None else "is not there"
            findings.append(Finding(host.name, f"{leaf.name}: {leaf.path} {what}", _todo(leaf, None)))
            continue
        own = chain[0]
        faults = certificate_faults(own, leaf.wanted, authorities, now)
        findings.extend(Finding(host.name, f"{leaf.name} ({leaf.path}) {one}", _todo(leaf, own)) for one in faults)
        soon = "" if faults else ends_soon(own, now, page.warn_days)
        # The kubelet's own are renewed by it in time; only those that wait for a person are worth a word.
        if soon and leaf.fingerprint:
            notes.append(f"{host.name}: {leaf.name} {soon}")
    return findings, notes


async def check_certificates(run: Verification) -> Checked:
    """Judge every certificate on every chosen host."""
    authorities, listed = load_authorities(run.cluster_dir, run.page), listed_nodes(run.tree.path)

    async def one(host: Host, connection: Connection) -> tuple[list[Finding], list[str], int]:
        paths = [path for _, path in authority_files(run.page, host)]
        paths += [leaf.path for leaf in expected_leaves(run.page, host, listed)]
        now = run.now()
        files = await read_files(host, connection, paths, now)
        findings, notes = judged(run.page, host, files, authorities, listed, now)
        return findings, notes, len(paths)

    answers = await run.visit_all(run.hosts, one)
    files = sum(count for _, _, count in answers)
    return checked(
        f"{counted(files, 'file')} on {counted(len(answers), 'host')}",
        [finding for findings, _, _ in answers for finding in findings],
        [note for _, notes, _ in answers for note in notes],
    )


def _certificates_in(pem: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(load_certificates(pem.replace(",", "\n"), "")) if pem else ()
    except PkiError:
        return ()  # a file that says it is a certificate and is none reads like an empty one


def _wanted(one: Certificate) -> Wanted:
    return Wanted(one.issuer, one.subject, one.sans, (frozenset(one.usages),))


def _clock_findings(files: HostFiles) -> list[Finding]:
    if abs(files.ahead) <= CLOCK_LIMIT:
        return []
    way = "ahead of" if files.ahead > timedelta() else "behind"
    cause = f"its clock is {span(abs(files.ahead))} {way} this machine's, and by it certificates are judged"
    return [Finding(files.host, cause, "see to its time service (chrony), or to this machine's")]


def _authority_findings(
    host: Host, name: str, path: str, files: HostFiles, authorities: Authorities, now: datetime
) -> list[Finding]:
    own = authorities[name][0]
    there = files.chains.get(path)
    todo = "run `invoke apply`, which puts the rendered one there"
    if not there:
        what = "is no certificate" if there is not None else "is not there"
        return [Finding(host.name, f"CA {name}: {path} {what}", todo)]
    if fingerprint(own) not in {fingerprint(one) for one in there}:
        return [Finding(host.name, f"CA {name}: {path} holds another CA than the cluster's", todo)]
    renew = "every certificate that it has signed goes with it: see docs/verify.md, expired CAs"
    return [Finding(host.name, f"CA {name} ({path}) {fault}", renew) for fault in time_faults(own, now)]


def _todo(leaf: Expected, own: x509.Certificate | None) -> str:
    if not leaf.fingerprint:
        return "see `journalctl -u kubelet` there and `kubectl get csr`; a restart of kubelet.service asks anew"
    if own is not None and fingerprint(own) == leaf.fingerprint:
        return "it is the rendered one: run `invoke certs.renew`, then `invoke apply`"
    return "run `invoke apply`, which puts the rendered one there"
