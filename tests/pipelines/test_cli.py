import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import pipelines.certify
import pipelines.summary
from pipelines.cli import app

HEAVY = ("torch", "ray", "mlflow", "diffusers", "timm", "pyarrow", "matplotlib")
Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return what runs a command line and leaves the tests' logging alone."""
    monkeypatch.setattr("pipelines.told.set_up_logging", lambda verbosity: None)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def certify_gives(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[Any]]:
    """Return what puts a result or an error in place of a whole certification."""

    def replace(result: Any) -> list[Any]:
        calls: list[Any] = []

        def certify(*arguments: Any) -> Any:
            calls.append(arguments)
            if isinstance(result, BaseException):
                raise result
            return result, [], _Job()

        monkeypatch.setattr(pipelines.certify, "certify", certify)
        monkeypatch.setattr(pipelines.summary, "print_summary", lambda *_: None)
        return calls

    return replace


class _Job:
    """As much of a job as the command line reads."""

    def __getattr__(self, name: str) -> Any:
        return (self,) if name == "runs" else self

    def __getitem__(self, index: int) -> Any:
        return self


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_is_0_when_done_and_3_when_images_were_set_aside(
    invoke: Invoke, certify_gives: Callable[[Any], list[Any]], status: int
) -> None:
    certify_gives(status)

    assert invoke("certify", "digits_dds").exit_code == status


@pytest.mark.parametrize(
    "error", [ValueError("A needs b. Do c."), FileNotFoundError("no file")]
)
def test_a_refusal_is_one_message_and_exit_status_1(
    invoke: Invoke,
    certify_gives: Callable[[Any], list[Any]],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    certify_gives(error)

    result = invoke("certify", "digits_dds")

    assert result.exit_code == 1
    assert [record.getMessage() for record in caplog.records] == [str(error)]
    assert "Traceback" not in result.output


def test_a_fault_of_ours_is_not_told_as_a_refusal(
    invoke: Invoke, certify_gives: Callable[[Any], list[Any]]
) -> None:
    certify_gives(KeyError("a fault"))

    assert isinstance(invoke("certify", "digits_dds").exception, KeyError)


def test_ctrl_c_tells_the_command_that_continues(
    invoke: Invoke,
    certify_gives: Callable[[Any], list[Any]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certify_gives(KeyboardInterrupt())
    arguments = ["certify", "digits_dds", "--set", "data.subset=first:3 4"]
    monkeypatch.setattr(sys, "argv", ["/bin/diffsmooth", *arguments])

    assert invoke(*arguments).exit_code == 1
    assert "diffsmooth certify digits_dds --set 'data.subset=first:3 4'" in caplog.text


def test_settings_and_out_reach_the_run(
    invoke: Invoke, certify_gives: Callable[[Any], list[Any]]
) -> None:
    calls = certify_gives(0)

    invoke("certify", "r.yaml", "--set", "a=1", "--out", "s3://b/c", "--set", "b=2")
    invoke("certify", "r.yaml", "-vv")

    assert calls == [("r.yaml", ["a=1", "b=2"], "s3://b/c"), ("r.yaml", [], None)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["certifies", "digits_dds"],
        ["certify"],
        ["certify", "digits_dds", "--sigma", "0.5"],
        ["certify", "digits_dds", "again"],
        ["train", "train_digits_ddpm", "--out", "x"],
        ["report"],
    ],
)
def test_unknown_verbs_and_flags_end_with_status_2(
    invoke: Invoke, certify_gives: Callable[[Any], list[Any]], arguments: list[str]
) -> None:
    calls = certify_gives(0)

    assert invoke(*arguments).exit_code == 2
    assert calls == []


def test_a_real_refusal_goes_to_the_log_and_not_to_standard_output(
    invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    result = invoke("certify", "digits_dsd")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "Nearest: digits_dds" in caplog.text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "import pipelines.cli\n"
        "try:\n    pipelines.cli.main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "HEAVY []" in done.stdout
    for verb in ("certify", "predict", "train", "report"):
        assert verb in done.stdout


@pytest.mark.parametrize("verb", ["certify", "predict", "train", "report"])
def test_every_verb_explains_itself(invoke: Invoke, verb: str) -> None:
    assert "Usage: diffsmooth" in invoke(verb, "--help").stdout
