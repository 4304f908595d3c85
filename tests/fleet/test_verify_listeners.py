"""What a port serves, seen with real TLS servers: new and old TLS, with and without a wish for client certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from fleet.verify.judgement import fingerprint
from fleet.verify.listeners import plain_certificate, served_certificate
from generator.pki.issuing import certificate_pem
from tests.fleet.certificate_maker import TestCa, server_context
from tests.fleet.local_host import LocalHost

CA = TestCa.made()
TRUSTED = certificate_pem(CA.certificate).encode()
LOOPBACK = ("IP:127.0.0.1",)


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # a client that hangs up in a handshake is what is wanted here
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)


def served(folder: Path, context: ssl.SSLContext) -> tuple[x509.Certificate | None, str]:
    async def main() -> tuple[x509.Certificate | None, str]:
        async with listening(context) as port:
            return await served_certificate(LocalHost("cp1", folder), "127.0.0.1", port, TRUSTED)

    return asyncio.run(main())


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("wishes", [ssl.CERT_NONE, ssl.CERT_REQUIRED])
def test_the_certificate_is_seen_whatever_the_server_wishes(
    tmp_path: Path, newest: ssl.TLSVersion, wishes: ssl.VerifyMode
) -> None:
    certificate, key = CA.leaf(LOOPBACK)
    context = server_context(tmp_path, certificate, key)
    context.maximum_version = newest
    context.load_verify_locations(cadata=TRUSTED.decode())
    context.verify_mode = wishes
    found, refusal = served(tmp_path, context)
    assert found is not None and fingerprint(found) == fingerprint(certificate)
    assert refusal == ""


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_one_that_clients_refuse_is_seen_and_so_is_why(tmp_path: Path, newest: ssl.TLSVersion) -> None:
    for certificate, key in (TestCa.made("stranger").leaf(LOOPBACK), CA.leaf(("IP:10.0.0.4",))):
        context = server_context(tmp_path, certificate, key)
        context.maximum_version = newest
        context.load_verify_locations(cadata=TRUSTED.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        found, refusal = served(tmp_path, context)
        assert found is not None and fingerprint(found) == fingerprint(certificate)
        assert refusal


def test_a_port_that_speaks_no_tls_serves_no_certificate(tmp_path: Path) -> None:
    async def main() -> tuple[x509.Certificate | None, str]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await served_certificate(LocalHost("cp1", tmp_path), "127.0.0.1", port, TRUSTED)
        finally:
            server.close()

    found, refusal = asyncio.run(main())
    assert (found is None and "wrong version" in refusal) or "record" in refusal


@pytest.mark.parametrize(
    "data", [b"", b"\x16\x03\x03\0", b"\x16\x03\x03\0\x04\x0b\0\0\x00", b"\x15\x03\x03\0\x02\x02\x28"]
)
def test_bytes_that_hold_no_certificate_hold_none(data: bytes) -> None:
    assert plain_certificate(data) == b""
