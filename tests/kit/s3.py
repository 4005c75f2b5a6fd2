"""An S3 server on loopback: moto, in a process of its own.

In a test's own process it could not answer that test: delta-rs keeps Python's lock while it opens an object, so both
would wait until the client gives up after three minutes. And moto sees whether an object is there and then writes it,
with a gap in which another thread may do the same: two win, and a commit is lost. Writes go one at a time here, which
is what S3 promises of a conditional put.
"""

import subprocess
import sys
from contextlib import contextmanager
from threading import Lock

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@contextmanager
def s3(monkeypatch, bucket):
    """Serve an empty bucket, where the environment says that S3 is; yields its address."""
    import boto3

    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = process.stdout.readline().strip()
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(name, value)
        boto3.client("s3", endpoint_url=url, region_name=KEYS["AWS_REGION"]).create_bucket(Bucket=bucket)
        yield f"s3://{bucket}"
    finally:
        process.kill()
        process.wait()


def _serve():
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    moto, writing = DomainDispatcherApplication(create_backend_app), Lock()

    def app(environ, start_response):
        if environ["REQUEST_METHOD"] != "PUT":
            return moto(environ, start_response)
        with writing:
            return moto(environ, start_response)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    print("http://{}:{}".format(*server.server_address[:2]), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
