import io
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.object_store import S3Store
from infra.s3_clients import s3_clients

Environment = dict[str, str]

OURS, ARROWS = "Botocore", "aws-sdk-cpp"


@pytest.fixture
def store(fault: Any) -> S3Store:
    """A prefix behind the faults, with a Parquet file in it."""
    del fault
    store = S3Store(f"lab/{uuid.uuid4().hex}")
    written = io.BytesIO()
    pq.write_table(pa.table({"label": range(1000)}), written)
    store.write("a.parquet", written.getvalue())
    return store


def read_parquet(store: S3Store) -> int:
    with store.open_parquet("a.parquet") as file:
        return file.read().num_rows


def read_opened(store: S3Store) -> bytes:
    with store.open("a.parquet") as file:
        return file.read(4)


ACTIONS: dict[str, tuple[Callable[[S3Store], object], object]] = {
    "read": (lambda store: store.read("a.parquet")[:4], b"PAR1"),
    "read_range": (lambda store: store.read_range("a.parquet", 0, 4), b"PAR1"),
    "open": (read_opened, b"PAR1"),
    "open_parquet": (read_parquet, 1000),
    "write": (lambda store: store.write("b", b"new"), None),
    "write_once": (lambda store: store.write_once("b", b"new"), True),
    "names": (lambda store: store.names(), ["a.parquet"]),
    "exists": (lambda store: store.exists("a.parquet"), True),
    "require_writable": (lambda store: store.require_writable(), None),
}
"""What a store does, and what comes out of it."""


@pytest.mark.parametrize("kind", ["busy", "reset"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_server_that_fails_once_is_asked_again(
    store: S3Store, fault: Any, action: str, kind: str
) -> None:
    act, outcome = ACTIONS[action]
    fault.kind, fault.times = kind, 1
    assert act(store) == outcome
    assert fault.times < 0


@pytest.mark.parametrize("action", ["read", "read_range", "open", "open_parquet"])
def test_a_body_that_breaks_off_is_asked_for_again(
    store: S3Store, fault: Any, action: str
) -> None:
    act, outcome = ACTIONS[action]
    fault.kind, fault.times, fault.method = "cut", 1, "GET"
    assert act(store) == outcome
    assert fault.times < 0


def test_a_creation_whose_answer_is_lost_is_there_once(
    store: S3Store, fault: Any
) -> None:
    fault.kind, fault.times, fault.method = "lost", 1, "PUT"
    store.write_once("b", b"first")
    assert fault.times < 0
    assert store.write_once("b", b"second") is False
    assert store.read("b") == b"first"


def test_a_server_that_replaces_what_is_there_is_refused(
    store: S3Store, fault: Any
) -> None:
    fault.kind, fault.times = "forget", 1000
    with pytest.raises(ValueError, match=r"keeps what was written once; .*replaces"):
        store.require_writable()
    assert store.names() == ["a.parquet"]


@pytest.mark.parametrize(
    ("kind", "client", "action"),
    [
        ("reset", OURS, "read"),
        ("busy", OURS, "write"),
        ("busy", ARROWS, "open_parquet"),
    ],
)
def test_a_server_that_fails_for_a_while_is_waited_for(
    store: S3Store, fault: Any, kind: str, client: str, action: str
) -> None:
    act, outcome = ACTIONS[action]
    fault.kind, fault.times, fault.client = kind, 3, client
    assert act(store) == outcome
    assert fault.times < 0


def test_requests_are_repeated_eight_times_at_most_unless_the_environment_says_else(
    store: S3Store, fault: Any
) -> None:
    fault.kind, fault.times = "busy", 1
    store.read("a.parquet")
    again = fault.requests[-1]
    assert "attempt=2; max=8" in again["amz-sdk-request"]
    assert "retry-mode#standard" in again["user-agent"]


NUM_REQUESTS = {
    ("busy", OURS): 2,
    # Its HTTP library sends a request twice before it calls a connection broken.
    ("reset", OURS): 4,
    ("busy", ARROWS): 2,
    ("reset", ARROWS): 2,
}
"""Requests in two attempts."""


@pytest.mark.parametrize(("kind", "client"), NUM_REQUESTS)
def test_requests_are_repeated_as_often_as_the_environment_says_and_in_one_place(
    store: S3Store, fault: Any, monkeypatch: pytest.MonkeyPatch, kind: str, client: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3_clients().arrow("lab")  # asks where the bucket is
    fault.kind, fault.times, fault.client = kind, 1000, client
    fault.requests.clear()

    act, _ = ACTIONS["read" if client == OURS else "open_parquet"]
    with pytest.raises(OSError, match=r"object store needs a server that.*/a\.parquet"):
        act(store)

    assert len(fault.requests) == NUM_REQUESTS[kind, client]


def make_bucket(name: str, region: str) -> None:
    there = {"LocationConstraint": region}
    s3_clients().files.call_s3(
        "create_bucket", Bucket=name, CreateBucketConfiguration=there
    )


def client_of(request: dict[str, str]) -> str:
    (client,) = (name for name in (OURS, ARROWS) if name in request["user-agent"])
    return client


def test_both_clients_sign_for_the_same_region_key_and_token_in_the_same_style(
    store: S3Store, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SOMEONE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "for-an-hour")
    make_bucket("central", "eu-central-1")
    there = S3Store("central/runs")
    there.write("a.parquet", store.read("a.parquet"))
    fault.requests.clear()
    there.read("a.parquet")
    read_parquet(there)

    seen = set()
    for request in fault.requests:
        scope = request["authorization"].partition("Credential=")[2].split("/")
        signed = scope[0], scope[2], request["x-amz-security-token"]
        seen.add((client_of(request), *signed))
        assert request["path"] in ("/central", "/central/runs/a.parquet")

    same = "SOMEONE", "eu-central-1", "for-an-hour"
    assert seen == {(OURS, *same), (ARROWS, *same)}


def test_parquet_is_read_from_where_the_bucket_is(
    moto_server: Environment, use_server: Callable[[Environment], None]
) -> None:
    use_server(moto_server)
    make_bucket("west", "eu-west-1")
    assert s3_clients().settings.region == "us-east-1"
    assert s3_clients().arrow("west").region == "eu-west-1"


def test_threads_share_their_clients_and_another_environment_gets_others(
    moto_server: Environment,
    use_server: Callable[[Environment], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_server(moto_server)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(s3_clients())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "renewed")
    assert s3_clients() is not found[0]


def test_credentials_of_a_profile_reach_both_clients(
    store: S3Store, fault: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id = IVY\naws_secret_access_key = x\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    fault.requests.clear()
    ACTIONS["read"][0](store)
    ACTIONS["open_parquet"][0](store)

    assert {client_of(request) for request in fault.requests} == {OURS, ARROWS}
    assert all("Credential=IVY/" in r["authorization"] for r in fault.requests)
