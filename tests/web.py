"""A server on this machine that publishes small files, for what is fetched."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from semlink.simulator.fetch import Published


class Web:
    """files: contents by path. asked: the paths that were asked for, in order."""

    def __init__(self, address: str, files: Mapping[str, bytes]) -> None:
        self.address, self.files, self.asked = address, dict(files), []

    def published(self, path: str) -> Published:
        """The file at that path, with its checksum."""
        return Published(f"{self.address}/{path}", hashlib.sha256(self.files[path]).hexdigest())


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Web]:
    """These files at their paths; 404 for all others."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/")
            web.asked.append(path)
            self.send_response(200 if path in web.files else 404)
            self.end_headers()
            self.wfile.write(web.files.get(path, b""))

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web = Web(f"http://127.0.0.1:{server.server_port}", files)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield web
        server.shutdown()
        thread.join()
