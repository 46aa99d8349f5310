import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.logs import set_up_logging, set_up_worker_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Put the loggers back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    root.handlers[:] = handlers
    root.setLevel(level)
    for package in ("pipelines", "ops", "infra", "tune"):
        logging.getLogger(package).setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("verbosity", "told"),
    [(0, ["warning"]), (1, ["info", "warning"]), (2, ["debug", "info", "warning"])],
)
def test_verbosity_decides_what_we_tell(
    verbosity: int, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(verbosity)
    ours = logging.getLogger("pipelines.certify")
    ours.debug("debug")
    ours.info("info")
    ours.warning("warning")
    captured = capsys.readouterr()
    assert [line.split()[-1] for line in captured.err.splitlines()] == told
    assert captured.out == ""


def test_libraries_tell_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(2)
    library = logging.getLogger("some_library")
    library.info("info")
    library.warning("warning")
    assert capsys.readouterr().err.split()[-2:] == ["WARNING", "warning"]
    assert not library.isEnabledFor(logging.INFO)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was told, each line a JSON object."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFSMOOTH_LOG", "json")


def test_asked_for_json_every_record_is_one_line_of_it(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    before = datetime.now(UTC)
    logging.getLogger("pipelines.vote").info(
        "unit of\ntwo lines: %d", 7, extra={"unit": "0af3", "sigma": 0.25}
    )
    logging.getLogger("some_library").warning("careful")

    ours, library = lines(capsys)
    moment = datetime.fromisoformat(ours.pop("time"))
    assert before <= moment <= datetime.now(UTC)
    assert moment.utcoffset() == timedelta(0)
    assert ours == {
        "level": "INFO",
        "logger": "pipelines.vote",
        "message": "unit of\ntwo lines: 7",
        "unit": "0af3",
        "sigma": 0.25,
    }
    assert (library["level"], library["message"]) == ("WARNING", "careful")


@pytest.mark.parametrize("asked", [None, "", "text"])
def test_records_are_text_unless_json_is_asked_for(
    asked: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DIFFSMOOTH_LOG", raising=False)
    if asked is not None:
        monkeypatch.setenv("DIFFSMOOTH_LOG", asked)
    set_up_logging()
    logging.getLogger("pipelines.vote").info("progress")
    assert capsys.readouterr().err.endswith(" INFO progress\n")


def test_another_form_is_refused_and_can_be_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIFFSMOOTH_LOG", "xml")
    with pytest.raises(ValueError, match="json or text; DIFFSMOOTH_LOG has 'xml'"):
        set_up_logging()
    logging.getLogger("pipelines.cli").error("refused")
    assert capsys.readouterr().err.endswith(" ERROR refused\n")


class Odd:
    def __str__(self) -> str:
        return "odd"


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Odd(), "odd"),
        ({"shape": (3, 8), "odd": Odd()}, {"shape": [3, 8], "odd": "odd"}),
        (Path("/a/b"), "/a/b"),
        (np.int64(7), "7"),
        (float("nan"), "nan"),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        (b"\xff", "b'\\xff'"),
        (CIRCLE, "[[...]]"),
        ("\ud800", "\ud800"),
        (None, None),
    ],
    ids=str,
)
def test_a_field_that_is_no_json_is_told_as_text(
    as_json: None, capsys: pytest.CaptureFixture[str], value: object, told: object
) -> None:
    set_up_logging()
    logging.getLogger("pipelines.vote").info("said", extra={"field": value})
    (line,) = lines(capsys)
    assert line["field"] == told


def test_a_field_called_like_one_of_ours_is_kept_beside_it(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    extra = {"level": "sea", "time": 3}
    logging.getLogger("pipelines.vote").info("said", extra=extra)
    (line,) = lines(capsys)
    assert (line["level"], line["level_"], line["time_"]) == ("INFO", "sea", 3)


def test_what_ray_adds_to_every_record_is_no_field(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = logging.getLogRecordFactory()

    def as_ray_does(*words: Any, **named: Any) -> logging.LogRecord:
        record = usual(*words, **named)
        vars(record)["_ray_timestamp_ns"] = 1
        return record

    logging.setLogRecordFactory(as_ray_does)
    set_up_logging()
    logging.getLogger("pipelines.vote").info("said", extra={"_mine": 2})
    (line,) = lines(capsys)
    assert line["_mine"] == 2
    assert "_ray_timestamp_ns" not in line


def test_an_exception_is_a_field_of_its_line(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging()
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("pipelines.vote").exception("failed")
    (line,) = lines(capsys)
    assert line["message"] == "failed"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("KeyError: 'lost'")


def test_every_line_of_a_worker_has_its_run_and_node(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIFFSMOOTH_LOG", raising=False)
    for _ in range(2):  # an actor that is set up again tells nothing twice
        set_up_worker_logging("runs/a", "node-3")
    ours = logging.getLogger("pipelines.stages")
    ours.debug("details")
    ours.info("unit done", extra={"unit": "0af3"})
    ours.info("elsewhere", extra={"node": "node-4"})
    logging.getLogger("some_library").info("chatter")

    told = lines(capsys)
    assert [line["message"] for line in told] == ["unit done", "elsewhere"]
    assert [line["run"] for line in told] == ["runs/a", "runs/a"]
    assert [line["node"] for line in told] == ["node-3", "node-4"]
    assert told[0]["unit"] == "0af3"
