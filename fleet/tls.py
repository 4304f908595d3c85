"""TLS over any stream of bytes, and client keys that never touch a disk.

asyncio can speak TLS over sockets only, and an SSH channel is none. Here OpenSSL works on two memory buffers
(`ssl.MemoryBIO`) while the bytes travel through whatever carries them.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from generator.errors import PkiError

_CHUNK = 65536
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_T = TypeVar("_T")


class ByteReader(Protocol):
    """The reading half of a stream; asyncio's and asyncssh's readers both fit."""

    async def read(self, n: int = -1, /) -> bytes:
        """Return up to n bytes, b"" at the end of the stream."""
        ...


class ByteWriter(Protocol):
    """The writing half of a stream; asyncio's and asyncssh's writers both fit."""

    def write(self, data: bytes, /) -> None:
        """Queue bytes."""
        ...

    async def drain(self) -> None:
        """Wait until more may be queued."""
        ...

    def close(self) -> None:
        """Close the stream."""
        ...


@dataclass(frozen=True, slots=True)
class Credential:
    """A client certificate and its private key, both PEM; the key is never shown."""

    certificate: bytes
    key: bytes = field(repr=False)


def client_context(ca_pem: bytes, credential: Credential | None = None) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer that trusts only the given CA and always checks the server's name.

    The key reaches OpenSSL through an anonymous file in memory (memfd), since Python can load keys from paths only.
    Raises PkiError where the CA is no certificate or the key does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=_certificates(ca_pem))
    except (ssl.SSLError, ValueError) as error:
        raise PkiError(
            f"the cluster's CA certificate cannot be read: {_reason(error)}; render the cluster again"
        ) from None
    if credential is not None:
        handle = os.memfd_create("credential", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(credential.certificate.rstrip() + b"\n" + credential.key)
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        except ssl.SSLError as error:
            raise PkiError(
                f"client certificate and key do not work together: {_reason(error)}; use another credential"
            ) from None
        finally:
            os.close(handle)
    return context


class TlsStream:
    """One TLS connection inside a stream of bytes; made by `open_tls`."""

    def __init__(self, reader: ByteReader, writer: ByteWriter, context: ssl.SSLContext, server_name: str) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    @property
    def peer_certificate(self) -> bytes:
        """The server's certificate, DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    async def handshake(self) -> None:
        """Shake hands; raises ssl.SSLError, ssl.SSLCertVerificationError or OSError."""
        await self._step(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        try:
            return await self._step(lambda: self._tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        await self._step(lambda: self._tls.write(data))

    def close(self) -> None:
        """Close the stream below; nothing that matters follows a complete HTTP answer."""
        self._writer.close()

    async def _step(self, action: Callable[[], _T]) -> _T:
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._reader.read(_CHUNK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                # OpenSSL may have an alert for the other side; it says there why we hang up.
                await self._flush()
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
            await self._writer.drain()


async def open_tls(reader: ByteReader, writer: ByteWriter, context: ssl.SSLContext, server_name: str) -> TlsStream:
    """Return a TLS connection whose server has proved to be `server_name` (a DNS name or an address).

    Raises ssl.SSLError (ssl.SSLCertVerificationError where name or CA are wrong) or OSError; the stream is then closed.
    """
    stream = TlsStream(reader, writer, context, server_name)
    try:
        await stream.handshake()
    except BaseException:
        stream.close()
        raise
    return stream


def _certificates(pem: bytes) -> str:
    """Return only the certificates of a PEM file; ours carry words above them, which need not be ASCII."""
    return "\n".join(block.decode("ascii") for block in _CERTIFICATE.findall(pem))


def _reason(error: Exception) -> str:
    return (getattr(error, "reason", "") or str(error)).lower().replace("_", " ")
