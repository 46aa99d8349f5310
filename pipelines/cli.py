"""The command line: ``diffsmooth VERB``. Heavy imports wait until a verb needs them."""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from infra.logs import set_up_logging

app = typer.Typer(
    name="diffsmooth",
    help="Certify the l2 robustness of image classifiers by (denoised) smoothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
logger = logging.getLogger(__name__)

FAILED = 1
"""Exit status of a run that was refused or failed."""

SET_ASIDE = 3
"""Exit status of a run in which images were set aside."""

USAGE = 2
"""What the command line parser exits with."""

RecipeName = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="Packaged recipe or path to a YAML file."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field; repeatable."),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="URI", help="Local path or s3:// (default runs/RECIPE)."
    ),
]
Verbose = Annotated[
    int, typer.Option("-v", count=True, help="More log; -vv even more.")
]


@app.command()
def certify(
    recipe: RecipeName,
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Certify every image of RECIPE at every sigma; run again, it continues."""
    with _refusals_told(verbose):
        from pipelines.certify import certify as run
        from pipelines.summary import print_summary

        status, curves, job = run(recipe, settings or [], out)
        print_summary(curves, job.store, job.recipe.runs[0].tracking.uri)
        raise typer.Exit(status)


@app.command()
def predict(
    recipe: RecipeName,
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Predict the class of every image of RECIPE with the smoothed classifier."""
    with _refusals_told(verbose):
        from pipelines.predict import predict as run
        from pipelines.summary import print_predictions

        status, predictions, job = run(recipe, settings or [], out)
        print_predictions(predictions, job.store)
        raise typer.Exit(status)


@app.command()
def train(recipe: RecipeName, settings: Settings = None, verbose: Verbose = 0) -> None:
    """Train the network of a training RECIPE, or continue where it stopped."""
    with _refusals_told(verbose):
        from pipelines.summary import print_trained
        from pipelines.train import ensure_trained

        print_trained(ensure_trained(recipe, settings or []))


@app.command()
def report(
    uris: Annotated[list[str], typer.Argument(metavar="URI...", help="OUT of runs.")],
    settings: Settings = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="URI", help="Where several runs' report goes."),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Rebuild certificates, tables and curves from the votes of one or more runs."""
    with _refusals_told(verbose):
        from pipelines.rebuild import rebuild
        from pipelines.results import num_set_aside
        from pipelines.summary import OUT_PLACES, REPORT_PLACES, print_report

        curves, store = rebuild(uris, settings or [], out)
        alone = len(uris) == 1 and out is None
        print_report(curves, store, {**(OUT_PLACES if alone else {}), **REPORT_PLACES})
        if any(num_set_aside(curve.certificates) for curve in curves):
            raise typer.Exit(SET_ASIDE)


def main() -> None:
    """Run the command line; a wrong word on it is a refusal like any other."""
    try:
        app()
    except SystemExit as leave:
        sys.exit(FAILED if leave.code == USAGE else leave.code)


@contextmanager
def _refusals_told(verbose: int) -> Iterator[None]:
    """Turn a refusal into one message and exit status 1."""
    set_up_logging(1 + verbose)
    try:
        yield
    except KeyboardInterrupt as stopped:
        command = shlex.join(["diffsmooth", *sys.argv[1:]])
        logger.error("Stopped. What was written is kept; to continue: %s", command)
        raise typer.Exit(FAILED) from stopped
    except (ValueError, OSError) as refusal:
        logger.error("%s", refusal)
        logger.debug("Raised here:", exc_info=True)
        raise typer.Exit(FAILED) from refusal
