"""A client's DTLS, by OpenSSL: looks like a socket to `Client`, and lets tests lose datagrams and send raw ones."""

import socket
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from cryptography.x509 import Certificate
from OpenSSL import SSL

from certificates import authority

RESULT = TypeVar("RESULT")
LARGEST = 65536


class DtlsSocket:
    """A connected UDP socket with DTLS over it, after the handshake; OpenSSL's timers send again what was lost."""

    def __init__(
        self,
        under: socket.socket,
        name: str = "",
        *,
        ciphers: bytes = b"DEFAULT",
        mtu: int = 1200,
        loses: Callable[[int], bool] = lambda number: False,
        sends: Callable[[bytes], Iterable[bytes]] = lambda datagram: [datagram],
    ) -> None:
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.load_verify_locations(str(authority().cert))
        context.set_verify(SSL.VERIFY_PEER)
        context.set_cipher_list(ciphers)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        self.under, self.timeout, self.heard = under, 10.0, 0
        self.loses, self.sends = loses, sends
        self.tls = SSL.Connection(context, None)
        self.tls.set_ciphertext_mtu(mtu)
        self.tls.set_connect_state()
        if name:
            self.tls.set_tlsext_host_name(name.encode())
        self._wait(self.tls.do_handshake)

    def sendall(self, message: bytes) -> None:
        """One message is one record is one datagram."""
        self.tls.send(message)
        self._flush()

    send = sendall

    def recv(self, size: int) -> bytes:
        """The next message; b"" when the server said that no more comes."""
        try:
            return self._wait(lambda: self.tls.recv(size))
        except SSL.ZeroReturnError:
            return b""

    def shown(self) -> Certificate:
        """The server's certificate."""
        certificate = self.tls.get_peer_certificate(as_cryptography=True)
        assert certificate
        return certificate

    def settimeout(self, seconds: float) -> None:
        """How long `recv` waits."""
        self.timeout = seconds

    def getsockname(self) -> tuple[str, int]:
        """The client's own end."""
        return self.under.getsockname()[:2]

    def leave(self) -> None:
        """Say that no more comes, and keep the socket."""
        self.tls.shutdown()
        self._flush()

    def close(self) -> None:
        """Say that no more comes."""
        self.leave()
        self.under.close()

    def _wait(self, attempt: Callable[[], RESULT]) -> RESULT:
        end = time.monotonic() + self.timeout
        while True:
            try:
                result = attempt()
            except SSL.WantReadError:
                self._flush()
                self._read(end)
                continue
            self._flush()
            return result

    def _read(self, end: float) -> None:
        """Wait for a datagram, until `end` or OpenSSL's timer."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        timer = self.tls.DTLSv1_get_timeout()
        self.under.settimeout(max(min(left, timer if timer is not None else left), 0.001))
        try:
            datagram = self.under.recv(LARGEST)
        except TimeoutError:
            self.tls.DTLSv1_handle_timeout()
            return
        self.heard += 1
        if not self.loses(self.heard):
            self.tls.bio_write(datagram)

    def _flush(self) -> None:
        try:
            while True:
                for datagram in self.sends(self.tls.bio_read(LARGEST)):
                    self.under.send(datagram)
        except SSL.WantReadError:
            pass
