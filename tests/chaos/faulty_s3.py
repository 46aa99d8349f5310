"""A proxy in front of an S3 server that can be told to fail for a while."""

import contextlib
import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

_CHUNK = 1 << 16
_QUIET_SECONDS = 0.05
"""A client that has sent nothing for so long has sent its whole request."""

_BODY = (
    b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
)
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class FaultyProxy:
    """Hands bytes both ways, or answers 503, or resets connections."""

    def __init__(self, endpoint_url: str) -> None:
        server = urlsplit(endpoint_url)
        self._server = (server.hostname, server.port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._fault = ""
        self._until = 0.0
        self.num_faults = 0
        """Requests that met a fault so far."""

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def fail(self, how: str, seconds: float) -> None:
        """Answer ``503`` or ``reset`` connections from now on, for that long."""
        self._fault, self._until = how, time.monotonic() + seconds

    def serve(self) -> None:
        """Take connections until the proxy is closed."""
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(
                    target=self._serve_one, args=(client,), daemon=True
                ).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):  # nobody is accepting
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve_one(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as ends:
            ends.enter_context(contextlib.suppress(OSError))  # one side has gone
            ends.enter_context(client)
            server = ends.enter_context(socket.create_connection(self._server))
            self._hand_over(client, server)

    def _hand_over(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with selectors.DefaultSelector() as ready:
            for side in other:
                ready.register(side, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    side = key.fileobj
                    assert isinstance(side, socket.socket)
                    if side is client and time.monotonic() < self._until:
                        return self._break(client)
                    if not (chunk := side.recv(_CHUNK)):
                        return None
                    other[side].sendall(chunk)

    def _break(self, client: socket.socket) -> None:
        self.num_faults += 1
        if self._fault == "reset":
            no_linger = struct.pack("ii", 1, 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            return
        client.settimeout(_QUIET_SECONDS)
        with contextlib.suppress(TimeoutError):
            while client.recv(_CHUNK):
                pass
        client.sendall(_UNAVAILABLE)


@contextmanager
def proxied(server: Mapping[str, str]) -> Iterator[tuple[FaultyProxy, dict[str, str]]]:
    """Put a proxy in front of a server.

    Args:
        server: what its clients need in their environment.

    Yields:
        The proxy, and what clients need to go through it.
    """
    proxy = FaultyProxy(server["AWS_ENDPOINT_URL"])
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy, {**server, "AWS_ENDPOINT_URL": proxy.url}
    finally:
        proxy.close()
        thread.join()


@contextmanager
def known(server: Mapping[str, str]) -> Iterator[None]:
    """Let this process know one server and no other while the body runs."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(server)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def moto() -> Iterator[dict[str, str]]:
    """Start an S3 server in this process; yields what its clients need."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "whatever",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()
