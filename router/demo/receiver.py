"""The site's receiver of webhooks: a small web application that checks signatures."""

import http.server
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

Verify = Callable[[str, Mapping[str, str], str], bool]
"Whether a signature fits a URL and a form."


class Receiver:
    """Serves on a free port of 127.0.0.1 until the context ends."""

    def __init__(self, verify: Verify) -> None:
        self.genuine: list[str] = []
        "Idempotency tokens of the webhooks received with a good signature."
        receiver = self

        class Application(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Called by the server for each POST."""
                length = int(self.headers["Content-Length"])
                form = dict(parse_qsl(self.rfile.read(length).decode()))
                # The URL that the provider signed, as the router hands it down.
                scheme = self.headers["X-Forwarded-Proto"]
                url = f"{scheme}://{self.headers['Host']}{self.path}"
                good = verify(url, form, self.headers["X-Twilio-Signature"])
                if good:
                    receiver.genuine.append(self.headers["I-Twilio-Idempotency-Token"])
                self.send_response(204 if good else 403)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
