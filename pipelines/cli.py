"""The command line: ``diffsmooth VERB``. Heavy imports wait until a verb needs them."""

import sys
from typing import Annotated

import typer

from pipelines.options import (
    CommonOut,
    NewFile,
    Out,
    PilotImages,
    RecipeName,
    Recompute,
    RunOut,
    Settings,
    Verbose,
    WeightsFile,
)
from pipelines.told import FAILED, refusals_told

app = typer.Typer(
    name="diffsmooth",
    help="Certify the l2 robustness of image classifiers by (denoised) smoothing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SET_ASIDE = 3
"""Exit status of a run in which images were set aside."""

USAGE = 2
"""What the command line parser exits with."""


@app.command()
def certify(
    recipe: RecipeName, settings: Settings = None, out: Out = None, verbose: Verbose = 0
) -> None:
    """Certify every image of RECIPE at every sigma; run again, it continues."""
    with refusals_told(verbose):
        from pipelines.certify import certify as run
        from pipelines.summary import print_summary

        status, curves, job = run(recipe, settings or [], out)
        print_summary(curves, job.store, job.recipe.runs[0].tracking.uri)
        raise typer.Exit(status)


@app.command()
def predict(
    recipe: RecipeName, settings: Settings = None, out: Out = None, verbose: Verbose = 0
) -> None:
    """Predict the class of every image of RECIPE with the smoothed classifier."""
    with refusals_told(verbose):
        from pipelines.predict import predict as run
        from pipelines.summary import print_predictions

        status, predictions, job = run(recipe, settings or [], out)
        print_predictions(predictions, job.store)
        raise typer.Exit(status)


@app.command()
def train(recipe: RecipeName, settings: Settings = None, verbose: Verbose = 0) -> None:
    """Train the network of a training RECIPE, or continue where it stopped."""
    with refusals_told(verbose):
        from pipelines.summary import print_trained
        from pipelines.train import ensure_trained

        print_trained(ensure_trained(recipe, settings or []))


@app.command()
def report(
    uris: Annotated[list[str], typer.Argument(metavar="URI...", help="OUT of runs.")],
    settings: Settings = None,
    out: CommonOut = None,
    verbose: Verbose = 0,
) -> None:
    """Rebuild certificates, tables and curves from the votes of one or more runs."""
    with refusals_told(verbose):
        from pipelines.curve import single
        from pipelines.imported import is_imported
        from pipelines.rebuild import rebuild
        from pipelines.results import num_set_aside
        from pipelines.summary import OUT_PLACES, REPORT_PLACES, print_report

        curves, store = rebuild(uris, settings or [], out)
        own = len(uris) == 1 and out is None and not is_imported(store)
        print_report(curves, store, {**(OUT_PLACES if own else {}), **REPORT_PLACES})
        if any(num_set_aside(curve.certificates) for curve in single(curves)):
            raise typer.Exit(SET_ASIDE)


@app.command()
def doctor(
    recipe: RecipeName, settings: Settings = None, out: Out = None, verbose: Verbose = 0
) -> None:
    """Look at all that a long run of RECIPE rests on, with 200 images at most."""
    with refusals_told(verbose):
        from pipelines.doctor import doctor as run
        from pipelines.summary import print_checks

        checks = run(recipe, settings or [], out)
        print_checks(checks)
        if any(check.status == "fail" for check in checks):
            raise typer.Exit(FAILED)


@app.command()
def plan(
    recipe: RecipeName,
    pilot: PilotImages = 0,
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Say what RECIPE will cost, from the votes of a pilot that OUT keeps."""
    with refusals_told(verbose):
        from pipelines.plan import plan as run
        from pipelines.summary import print_costs

        print_costs(run(recipe, settings or [], out, num_pilot=pilot))


@app.command()
def status(
    uri: RunOut,
    verbose: Verbose = 0,
) -> None:
    """Say how far the run of OUT is, from any machine that can read OUT."""
    with refusals_told(verbose):
        from pipelines.status import status as run
        from pipelines.summary import print_lines

        print_lines(run(uri).lines())


@app.command()
def inspect(file: WeightsFile, verbose: Verbose = 0) -> None:
    """Say what a weights FILE holds and what it would take to use it; runs no code."""
    with refusals_told(verbose):
        from pipelines.inspect_weights import inspect as run
        from pipelines.summary import print_lines

        print_lines(run(file).lines())


@app.command()
def convert(
    file: WeightsFile,
    out: NewFile,
    settings: Settings = None,
    verbose: Verbose = 0,
) -> None:
    """Convert a checkpoint FILE to safetensors that say what they are."""
    with refusals_told(verbose):
        from pipelines.convert import convert as run
        from pipelines.summary import print_trained

        print_trained(run(file, settings or [], out))


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder or file.")],
    layout: Annotated[
        str, typer.Option("--layout", metavar="L", help="How SOURCE is laid out.")
    ],
    out: NewFile,
    settings: Settings = None,
    verbose: Verbose = 0,
) -> None:
    """List, read and hash every image of SOURCE once, into a manifest."""
    with refusals_told(verbose):
        from pipelines.ingest import ingest as run
        from pipelines.summary import print_ingested

        print_ingested(run(source, layout, settings or [], out))


@app.command()
def compact(
    uri: RunOut,
    verbose: Verbose = 0,
) -> None:
    """Merge the many small vote files of OUT into few, also while a run goes on."""
    with refusals_told(verbose):
        from pipelines.compact import compact as run
        from pipelines.summary import print_compacted

        print_compacted(run(uri))


@app.command()
def verify(
    uri: RunOut,
    recompute: Recompute = 0,
    verbose: Verbose = 0,
) -> None:
    """Recount all that OUT holds; vote a sample of its blocks again."""
    with refusals_told(verbose):
        from pipelines.summary import print_checks, print_lines
        from pipelines.verify import verify as run

        verified = run(uri, num_again=recompute)
        print_checks(verified.checks)
        print_lines([verified.verdict])
        if not verified.holds:
            raise typer.Exit(FAILED)


@app.command("import")
def import_(
    log: Annotated[str, typer.Argument(metavar="LOG", help="Certification log.")],
    settings: Settings = None,
    out: Out = None,
    verbose: Verbose = 0,
) -> None:
    """Import another program's certification LOG, to report it beside our runs."""
    with refusals_told(verbose):
        from pipelines.import_log import import_log
        from pipelines.summary import REPORT_PLACES, print_report

        curve, store = import_log(log, settings or [], out)
        places = {"certificates": "certificates.parquet", **REPORT_PLACES}
        print_report([curve], store, places)


def main() -> None:
    """Run the command line; a wrong word on it is a refusal like any other."""
    try:
        app()
    except SystemExit as leave:
        sys.exit(FAILED if leave.code == USAGE else leave.code)
