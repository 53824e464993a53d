"""Conditional writes, as each kind of object store wants them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from obstore.store import GCSStore, MemoryStore

from divscale.graph.objects import Objects


class Google(BaseHTTPRequestHandler):
    """One bucket of Google's service: each write has a generation, and a condition is on that alone."""

    protocol_version = "HTTP/1.1"
    held: dict[str, tuple[int, bytes]]

    def do_GET(self):
        generation, body = self.held.get(self.path, (0, b""))
        self._answer(200 if generation else 404, generation, body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        now = self.held.get(self.path, (0, b""))[0]
        wanted = self.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != now:
            self._answer(412, now)
            return
        self.held[self.path] = now + 1, body
        self._answer(200, now + 1)

    def _answer(self, status, generation, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{generation}"')
        self.send_header("x-goog-generation", str(generation))
        self.send_header("Last-Modified", "Sat, 28 Nov 2026 12:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(params=["gs", "memory"])
def objects(request):
    found = Objects("gs://bucket/studies")
    if request.param == "memory":
        found._store = MemoryStore()
        yield found
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Google,), {"held": {}}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    account = {"gcs_base_url": f"http://127.0.0.1:{server.server_port}", "disable_oauth": True, "client_email": "",
               "private_key": "", "private_key_id": ""}
    found._store = GCSStore("bucket", prefix="studies", service_account_key=json.dumps(account),
                            client_options={"allow_http": True}, retry_config={"max_retries": 0})
    yield found
    server.shutdown()


def test_an_object_is_created_once_and_replaced_only_by_who_saw_it_last(objects):
    assert objects.get("lease") is None
    assert objects.create("lease", b"first") and not objects.create("lease", b"second")
    body, tag = objects.get("lease")
    assert body == b"first"
    assert objects.replace("lease", b"second", tag) and not objects.replace("lease", b"third", tag)
    assert objects.get("lease")[0] == b"second"
