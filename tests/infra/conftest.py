"""A way to a server on which something goes wrong."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

Environment = dict[str, str]

BUSY = b"<Error><Code>SlowDown</Code><Message>busy</Message></Error>"


@dataclass
class Fault:
    """What goes wrong on the way to a server, and how often."""

    kind: str = "none"
    """``busy``: HTTP 503. ``reset``: the connection is reset. ``lost``: the same, once
    the server has done what it was asked. ``cut``: the body ends in its middle.
    ``forget``: the server does not hear that it may not replace."""

    times: int = 0
    client: str = ""
    """Part of the user-agent of the requests it befalls."""

    method: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)
    """What came in, the unlucky ones too: headers, method and path."""

    def befalls(self, request: dict[str, str]) -> bool:
        hit = self.client in request["user-agent"] and self.method in request["method"]
        self.times -= hit
        return hit and self.times >= 0


class FaultyWay(BaseHTTPRequestHandler):
    """Passes requests on to a server, unless a fault befalls them."""

    protocol_version = "HTTP/1.1"
    fault: Fault
    target: str

    def handle_any(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = {**headers, "method": self.command, "path": self.path}
        self.fault.requests.append(request)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hit = self.fault.befalls(request)
        kind = self.fault.kind if hit else "none"
        if kind == "busy":
            self._answer(503, {}, b"" if self.command == "HEAD" else BUSY)
            return
        if kind == "reset":
            self._reset()
            return
        if kind == "forget":
            del self.headers["If-None-Match"]
        status, answer, content = self._ask(body)
        if kind == "lost":
            self._reset()
        elif kind == "cut":
            self._answer(status, answer, content[: len(content) // 2])
            self.close_connection = True
        else:
            self._answer(status, answer, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Pass the request on; returns the server's answer."""
        server = http.client.HTTPConnection(self.target)
        server.request(self.command, self.path, body, dict(self.headers))
        answer = server.getresponse()
        content = answer.read()
        server.close()
        headers = {k: v for k, v in answer.getheaders() if k not in ("Date", "Server")}
        headers["Content-Length"] = answer.headers["Content-Length"] or "0"
        headers.pop("Transfer-Encoding", None)
        return answer.status, headers, content

    def _reset(self) -> None:
        at_once = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.connection.shutdown(socket.SHUT_RD)
        self.rfile.close()
        self.close_connection = True
        self.connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Tell nothing."""


@pytest.fixture
def fault(
    moto_server: Environment, use_server: Callable[[Environment], None]
) -> Iterator[Fault]:
    """Faults on the way between this process and a server."""
    fault = Fault()
    target = urlsplit(moto_server["AWS_ENDPOINT_URL"]).netloc
    handler = type("Way", (FaultyWay,), {"fault": fault, "target": target})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as way:
        way.daemon_threads = True
        thread = threading.Thread(target=way.serve_forever, args=(0.05,))
        thread.start()
        endpoint = f"http://127.0.0.1:{way.server_port}"
        use_server({**moto_server, "AWS_ENDPOINT_URL": endpoint})
        yield fault
        way.shutdown()
        thread.join()
