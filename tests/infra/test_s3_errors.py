import errno
import pickle
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from infra.object_store import S3Store, open_store
from infra.s3_errors import may_be_taken

Environment = dict[str, str]

ASKED: dict[str, Callable[[S3Store], object]] = {
    "open": lambda store: store.open("a"),
    "open_parquet": lambda store: store.open_parquet("a"),
    "read": lambda store: store.read("a"),
    "read_range": lambda store: store.read_range("a", 0, 1),
    "write": lambda store: store.write("a", b"new"),
    "write_once": lambda store: store.write_once("a", b"new"),
    "names": lambda store: store.names(),
    "exists": lambda store: store.exists("a"),
}
"""Everything that asks a server."""

in_every_way = pytest.mark.parametrize("ask", ASKED.values(), ids=list(ASKED))


def refused(status: int) -> OSError:
    """What a client raises for an answer it has no word for."""
    answer = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = OSError(errno.EIO, "something")
    error.__cause__ = ClientError(cast(Any, answer), "PutObject")
    return error


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (FileExistsError("there"), True),
        (OSError(errno.EINVAL, "Precondition Failed"), True),
        (refused(412), True),
        (refused(409), True),
        (refused(500), False),
        (PermissionError("no"), False),
        (OSError(errno.EBUSY, "busy"), False),
        (FileNotFoundError("no bucket"), False),
    ],
)
def test_servers_say_in_different_ways_that_a_name_is_taken(
    error: OSError, taken: bool
) -> None:
    assert may_be_taken(error) is taken


@pytest.fixture
def written(swift_server: Environment, use_server: Callable[..., None]) -> S3Store:
    """A prefix on a server that checks credentials, with one object."""
    use_server(swift_server)
    store = open_store(f"s3://lab/{uuid.uuid4().hex}")
    assert isinstance(store, S3Store)
    store.write("a", b"old")
    return store


@in_every_way
def test_a_wrong_secret_is_refused(
    written: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[S3Store], object],
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a wrong one")
    with pytest.raises(PermissionError, match="credentials that may do") as told:
        ask(written)
    assert f"{written.url}" in str(told.value)
    assert "Check AWS_ACCESS_KEY_ID" in str(told.value)
    assert "a wrong one" not in str(told.value)


def test_nothing_is_written_with_a_wrong_secret(
    written: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a wrong one")
        for ask in (ASKED["write"], ASKED["write_once"]):
            with pytest.raises(PermissionError):
                ask(written)
    assert written.read("a") == b"old"


@in_every_way
@pytest.mark.parametrize(
    "missing",
    [
        {"AWS_SECRET_ACCESS_KEY": None},
        {"AWS_SECRET_ACCESS_KEY": None, "AWS_ACCESS_KEY_ID": None},
        {"AWS_PROFILE": "nobody"},
    ],
    ids=["half", "none", "profile"],
)
def test_missing_credentials_are_refused(
    written: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[S3Store], object],
    missing: dict[str, str | None],
) -> None:
    for name, value in missing.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(PermissionError, match=r"there are none: .*Set AWS_ACCESS_KEY"):
        ask(written)


@in_every_way
def test_a_missing_bucket_is_refused(
    written: S3Store, ask: Callable[[S3Store], object]
) -> None:
    del written
    with pytest.raises(ValueError, match=r"s3://not-lab.* has none of that name"):
        ask(S3Store("not-lab/out"))


@in_every_way
def test_a_name_no_bucket_can_have_is_refused(
    written: S3Store, ask: Callable[[S3Store], object]
) -> None:
    del written
    with pytest.raises(ValueError, match=r"needs a name of 3 to 63"):
        ask(S3Store("no$bucket/out"))


@in_every_way
def test_a_server_that_is_not_there_is_refused(
    written: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[S3Store], object],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ConnectionError, match=r"127.0.0.1:9/.*Check the network"):
        ask(written)


@pytest.mark.parametrize(
    ("environment", "place", "reason"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "a wrong one"}, "s3://lab/out", "may do what"),
        ({}, "s3://not-lab/out", "needs a bucket that is there"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "s3://lab/out",
            "needs a server that answers",
        ),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_a_run(
    written: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    environment: Environment,
    place: str,
    reason: str,
) -> None:
    del written
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"A run needs a place it can write.*{reason}"):
        open_store(place).require_writable()


def test_credentials_travel_with_no_store(
    written: S3Store, swift_server: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for ask in (ASKED["read"], ASKED["names"], ASKED["write_once"]):
        ask(written)
    secret = swift_server["AWS_SECRET_ACCESS_KEY"]
    assert secret.encode() not in pickle.dumps(written)
    assert secret not in repr(written)
    assert secret not in caplog.text
