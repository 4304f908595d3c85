"""What listeners really serve: the certificate of each TLS port, asked from the host itself, against the file on disk.

A program that was not restarted goes on with the certificate that it has read; one that somebody else has started has
another. Every connection is made by the host (a channel of its SSH connection), so loopback ports are seen too.
"""

from __future__ import annotations

import asyncio
import ssl

from cryptography import x509

from fleet.connection import Connection
from fleet.csr import listed_nodes
from fleet.tls import ByteReader, TlsStream, client_context, open_tls
from fleet.tree import Host
from fleet.verify.certificates import Authorities, Expected, expected_leaves, load_authorities, read_files
from fleet.verify.judgement import certificate_faults, fingerprint
from fleet.verify.page import Listener
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import Verification
from generator.errors import HostError
from generator.pki.issuing import certificate_pem

SECONDS = 10
_RECORD, _HANDSHAKE, _CERTIFICATE = 5, 22, 11


async def check_listeners(run: Verification) -> Checked:
    """Ask every TLS port of every chosen host for its certificate, and judge what comes."""
    authorities, listed = load_authorities(run.cluster_dir, run.page), listed_nodes(run.tree.path)

    async def one(host: Host, connection: Connection) -> tuple[list[Finding], int]:
        leaves = {leaf.path: leaf for leaf in expected_leaves(run.page, host, listed)}
        by_name = {leaf.name: leaf for leaf in leaves.values()}
        wanted = [
            (listener, leaves[run.page.kubelet_serving] if listener.certificate == "kubelet" else leaf)
            for listener in run.page.listeners
            if listener.roles & host.pool.roles
            for leaf in [by_name.get(listener.certificate)]
            if leaf is not None or listener.certificate == "kubelet"
        ]
        files = await read_files(host, connection, [leaf.path for _, leaf in wanted if leaf], run.now())
        found: list[Finding] = []
        for number, (listener, leaf) in enumerate(wanted):
            assert leaf is not None
            chain = files.chains.get(leaf.path) or ()
            on_disk = chain[0] if chain else None
            try:
                found.extend(await _listener_findings(run, host, connection, listener, leaf, on_disk, authorities))
            except HostError as error:
                # What its other ports have shown so far stays true.
                run.lose(host, error)
                return found, number
        return found, len(wanted)

    answers = await run.visit_all(run.hosts, one)
    ports = sum(count for _, count in answers)
    looked = f"{counted(ports, 'port')} on {counted(len(answers), 'host')}"
    return checked(looked, [finding for findings, _ in answers for finding in findings])


async def _listener_findings(
    run: Verification,
    host: Host,
    connection: Connection,
    listener: Listener,
    leaf: Expected,
    on_disk: x509.Certificate | None,
    authorities: Authorities,
) -> list[Finding]:
    """Return what is wrong with one port."""
    address = listener.address or host.address
    where = f"{listener.component} on port {listener.port}"
    restart = f"restart {listener.component}.service"
    trusted = "".join(map(certificate_pem, authorities[leaf.wanted.issuer])).encode()
    try:
        async with asyncio.timeout(SECONDS):
            served, refusal = await served_certificate(connection, address, listener.port, trusted)
    except TimeoutError:
        todo = f"see `journalctl -u {listener.component}` there"
        return [Finding(host.name, f"{where} does not shake hands within {SECONDS} s", todo)]
    except ConnectionRefusedError:
        todo = f"see `systemctl status {listener.component}` there"
        return [Finding(host.name, f"{where} does not listen on {address}", todo)]
    except OSError as error:
        todo = f"see `journalctl -u {listener.component}` there, and run verify again"
        return [Finding(host.name, f"{where} could not be asked: {error}", todo)]
    if served is None:
        return [Finding(host.name, f"{where} serves no certificate ({refusal})", restart)]
    faults = certificate_faults(served, leaf.wanted, authorities, run.now())
    if on_disk is not None and fingerprint(served) != fingerprint(on_disk):
        what = f"{where} serves another certificate than {leaf.path}"
        detail = f", and the one that it serves {'; '.join(faults)}" if faults else ""
        broken = certificate_faults(on_disk, leaf.wanted, authorities, run.now())
        todo = f"mend the file before anything restarts it: it {broken[0]}" if broken else f"{restart} to read the file"
        return [Finding(host.name, what + detail, todo)]
    if faults:
        todo = "mend the file first (check certificates), then " + restart
        return [Finding(host.name, f"{where}: what it serves {fault}", todo) for fault in faults]
    # Our own judgement finds nothing; what OpenSSL refuses all the same is said in its words.
    return [Finding(host.name, f"{where}: clients refuse its certificate: {refusal}", restart)] if refusal else []


async def served_certificate(
    connection: Connection, address: str, port: int, trusted: bytes
) -> tuple[x509.Certificate | None, str]:
    """Return the certificate that a port serves, and why a client that trusts the CA refuses it ("" if it does not).

    A server that wants a client certificate, which we have none of, is no refusal. Raises OSError where nobody
    listens, HostError where the connection to the host breaks.
    """
    refusal = trouble = ""
    der = b""
    try:
        stream = await open_tls(*await connection.open_tcp(address, port), client_context(trusted), address)
        der = stream.peer_certificate
        stream.close()
    except ssl.SSLCertVerificationError as error:
        refusal = error.verify_message or str(error)
    except ssl.SSLError as error:
        trouble = (error.reason or str(error)).lower().replace("_", " ")
    if not der:
        reader, writer = await connection.open_tcp(address, port)
        tap = _Tap(reader)
        stream = TlsStream(tap, writer, _trusting_context(), address)
        try:
            await stream.handshake()
            der = stream.peer_certificate
        except ssl.SSLError:
            # Up to TLS 1.2 a server that asks for a client certificate ends the handshake, after it has shown its own.
            der = plain_certificate(bytes(tap.seen))
        finally:
            stream.close()
    if not der:
        return None, refusal or trouble
    try:
        return x509.load_der_x509_certificate(der), refusal
    except ValueError:
        return None, "it is none that can be read"


def plain_certificate(data: bytes) -> bytes:
    """Return the first certificate (DER) of a TLS 1.2 handshake as it came over the wire, b"" where there is none."""
    handshake = bytearray()
    while len(data) >= _RECORD:
        length = int.from_bytes(data[3:5], "big")
        if data[0] == _HANDSHAKE:
            handshake += data[_RECORD : _RECORD + length]
        data = data[_RECORD + length :]
    at = 0
    while at + 4 <= len(handshake):
        length = int.from_bytes(handshake[at + 1 : at + 4], "big")
        if handshake[at] == _CERTIFICATE:
            body = handshake[at + 4 : at + 4 + length]
            size = int.from_bytes(body[3:6], "big")
            return bytes(body[6 : 6 + size]) if len(body) >= 6 + size and size else b""
        at += 4 + length
    return b""


def _trusting_context() -> ssl.SSLContext:
    """Return a context that shakes hands with anybody: the certificate is looked at afterwards, nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Tap:
    """Passes bytes through and keeps the first of them."""

    LONGEST = 65536

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader
        self.seen = bytearray()

    async def read(self, n: int = -1, /) -> bytes:
        data = await self._reader.read(n)
        self.seen += data[: self.LONGEST - len(self.seen)]
        return data
