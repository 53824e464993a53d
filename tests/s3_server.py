"""An S3 API server on loopback (moto's), for tests: buckets that live in its process.

moto looks whether an object is there and then writes it; S3 does both at once. So requests take turns here.

    python tests/s3_server.py PORT
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager

KEYS = {"AWS_ACCESS_KEY_ID": "test-key-id", "AWS_SECRET_ACCESS_KEY": "test-secret-key", "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def s3_server(port: int) -> Generator[dict[str, str]]:
    """A server of its own process; yields the environment that reaches it."""
    address = f"http://127.0.0.1:{port}"
    log = subprocess.DEVNULL
    server = subprocess.Popen([sys.executable, __file__, str(port)], stdout=log, stderr=log)
    try:
        for _ in range(1500):
            assert server.poll() is None, "the S3 server ended"
            try:
                urllib.request.urlopen(f"{address}/moto-api/", timeout=60).close()
                break
            except OSError:
                time.sleep(0.2)
        yield {**KEYS, "AWS_ENDPOINT_URL": address}
    finally:
        server.kill()
        server.wait()


def make_bucket(environment: dict[str, str], name: str) -> None:
    """An empty bucket."""
    import boto3

    boto3.client(
        "s3", endpoint_url=environment["AWS_ENDPOINT_URL"], aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"], region_name=KEYS["AWS_REGION"]).create_bucket(Bucket=name)


def environment_of(environment: dict[str, str]) -> dict[str, str]:
    """This process's environment with the server's."""
    return {**os.environ, **environment}


def serve(port: int) -> None:
    """Serve until the process ends."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    app, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ, start_response):
        with turn:
            return app(environ, start_response)

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
