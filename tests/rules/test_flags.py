"""The flags of the command line do not grow: ``--set`` does the rest."""

from typing import Any

import typer

from tune.cli import app

FLAGS = {
    "certify": ["--out", "--set", "-v"],
    "predict": ["--out", "--set", "-v"],
    "train": ["--set", "-v"],
    "report": ["--out", "--set", "-v"],
    "doctor": ["--out", "--set", "-v"],
    "inspect": ["-v"],
    "inspect-purifier": ["--beside", "--images", "--lpips", "--out", "--set", "-v"],
    "convert": ["--out", "--set", "-v"],
    "ingest": ["--layout", "--out", "--set", "-v"],
    "import": ["--out", "--set", "-v"],
    "plan": ["--out", "--pilot", "--set", "-v"],
    "status": ["-v"],
    "compact": ["-v"],
    "verify": ["--recompute", "-v"],
    "theory": [
        *("--beside", "--copies", "--eta", "--images"),
        *("--out", "--runs", "--set", "-v"),
    ],
    "tune": ["--confirm", "--out", "--set", "-v"],
}


def test_each_verb_has_its_flags_and_no_others() -> None:
    group: Any = typer.main.get_command(app)
    found = {
        name: sorted(
            option
            for parameter in command.params
            if parameter.param_type_name == "option"
            for option in (*parameter.opts, *parameter.secondary_opts)
        )
        for name, command in group.commands.items()
    }

    assert found == FLAGS
