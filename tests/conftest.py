"""Servers that tests share, started on first use; neither Ray nor our packages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SWIFT = Path(__file__).parent / "servers" / "swift.py"
BUCKET = "lab"

Environment = dict[str, str]
"""What a client of a server needs in its environment."""

NOTHING_ELSE: Environment = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Hides every other credential of this machine."""


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Environment]:
    """An S3 server in this process, which takes any credentials, with a bucket."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "whatever",
        "AWS_REGION": "us-east-1",
    }
    plain_client(environment).create_bucket(Bucket=BUCKET)
    yield environment
    server.stop()


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """OpenStack Swift with its S3 interface, which checks credentials, with a bucket.

    The process ends when its standard input does, so also when this one is killed.
    """
    log = tmp_path_factory.mktemp("swift") / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, str(SWIFT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"Swift did not start: {log.read_text()}"
        environment = json.loads(line)
        if "missing" in environment:
            pytest.skip(f"Swift cannot be installed: {environment['missing']}")
        plain_client(environment).create_bucket(Bucket=BUCKET)
        yield environment


@pytest.fixture
def use_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Environment], None]:
    """Return what makes one server the only one this process knows."""

    def use(environment: Environment) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {**NOTHING_ELSE, **environment}.items():
            monkeypatch.setenv(name, value)

    return use


def plain_client(environment: Environment) -> Any:
    """Return a client of its own, made from nothing but these settings."""
    from botocore.session import Session

    return Session().create_client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
