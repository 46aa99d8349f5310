import logging
from collections.abc import Iterator

import pytest

from infra.logs import set_up_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Put the loggers back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
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
