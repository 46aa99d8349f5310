"""``diffsmooth`` with the verb that searches, beside those of ``pipelines``."""

import typer

from pipelines.cli import main
from pipelines.cli_looks import app
from pipelines.options import Confirm, Out, RecipeName, Settings, Verbose
from pipelines.told import refusals_told

__all__ = ["app", "main"]


@app.command()
def tune(
    recipe: RecipeName,
    confirm: Confirm = False,
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Search for the settings of RECIPE at a fixed cost; run again, it continues."""
    with refusals_told(verbose):
        from tune.summary import print_study
        from tune.tune_study import tune_study

        tuned = tune_study(recipe, settings or [], out, confirmed=confirm)
        print_study(tuned)
        raise typer.Exit(tuned.status)
