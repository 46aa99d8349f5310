"""Verbs that look at parts of a recipe, on the command line of ``pipelines.cli``."""

from typing import Annotated

import typer

from pipelines.cli import app
from pipelines.options import (
    BesideRecipes,
    LpipsFile,
    Out,
    RecipeName,
    Settings,
    ShownImages,
    Verbose,
)
from pipelines.told import refusals_told

__all__ = ["app"]


@app.command()
def inspect_purifier(  # noqa: PLR0913  a parameter for each flag
    recipe: RecipeName,
    *,
    images: ShownImages = 50,
    beside: BesideRecipes = None,
    lpips: LpipsFile = None,
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Measure and picture what the purifier of RECIPE does, also beside others."""
    with refusals_told(verbose):
        from pipelines.inspect_purifier import Asked
        from pipelines.inspect_purifier import inspect_purifier as run
        from pipelines.summary import print_purifiers

        asked = Asked(images, beside or (), lpips)
        print_purifiers(run(recipe, settings or [], out, asked))


@app.command()
def theory(  # noqa: PLR0913  a parameter for each flag
    recipe: RecipeName,
    *,
    images: Annotated[
        int, typer.Option("--images", metavar="N", help="Images to look at.")
    ] = 20,
    copies: Annotated[
        int, typer.Option("--copies", metavar="K", help="Noisy copies of each.")
    ] = 5,
    eta: Annotated[
        float, typer.Option("--eta", metavar="P", help="Chance that a bound fails.")
    ] = 0.01,
    beside: BesideRecipes = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="OUT", help="Certificates of each recipe."),
    ] = None,
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Hold what the purifier of RECIPE does against the bounds of the papers."""
    with refusals_told(verbose):
        from pipelines.summary import print_theory
        from pipelines.theory import Asked
        from pipelines.theory import theory as run

        asked = Asked(images, copies, eta)
        names = [recipe, *(beside or [])]
        print_theory(run(names, settings or [], out, asked=asked, runs=runs or []))
