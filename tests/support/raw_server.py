"""A server whose answers are bytes, sent as they come: endless, dripping, or a proxy's."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

Answer = Callable[["Asked"], Iterable[bytes]]


@dataclass
class Asked:
    """One request: its first line, its headers (names in lower case) and its body."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawServer:
    """Where it is, what it was asked, and how many bytes of answers it got rid of."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    sent: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Handler(socketserver.StreamRequestHandler):
    answer: Answer
    record: RawServer

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while (asked := self._read()) is not None:
                self.record.asked.append(asked)
                for part in self.answer(asked):
                    self.wfile.write(part)
                    self.record.sent += len(part)
                return  # and the connection is closed

    def _read(self) -> Asked | None:
        line = self.rfile.readline().decode("latin-1").strip()
        if not line:
            return None
        headers = {}
        while header := self.rfile.readline().decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        return Asked(line, headers, self.rfile.read(int(headers.get("content-length", 0))))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def raw_server(answer: Answer) -> Iterator[RawServer]:
    """``answer`` makes the bytes of each answer, head included."""
    record = RawServer(0)
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "record": record})
    with _Server(("127.0.0.1", 0), handler) as server:
        record.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield record
        finally:
            server.shutdown()
            thread.join()


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an answer whose end is the end of the connection."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *lines, "", ""]).encode()
