"""A server that speaks something else than HTTP."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator


class _Noise(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-Noise\r\n")
        self.request.recv(2**16)


@contextlib.contextmanager
def no_http() -> Iterator[int]:
    """Its port on 127.0.0.1."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Noise) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
