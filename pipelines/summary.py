"""What the command line prints when a verb is done."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.object_store import Store
from infra.tracking_address import resolve_uri
from pipelines.cascade import CASCADE_FILE
from pipelines.curve import Curve
from pipelines.render_costs import cost_lines
from pipelines.render_purifiers import purifier_table
from pipelines.render_theory import LEGEND as THEORY_LEGEND
from pipelines.render_theory import theory_lines
from pipelines.report import summary_table

if TYPE_CHECKING:  # for their types alone; both import what reports do without
    from pipelines.check import Check
    from pipelines.compact import Compacted
    from pipelines.ingest import Ingested
    from pipelines.inspect_purifier import Inspected
    from pipelines.plan import Cost
    from pipelines.theory import Theory

logger = logging.getLogger(__name__)

OUT_PLACES = {"votes": "votes/", "certificates": "certificates.parquet"}
REPORT_PLACES = {
    "tables": "report/table.md",
    "curve": "report/curve.png",
    "page": "report/index.html",
}
THEORY_PLACES = {"table": "theory.md", "numbers": "theory.csv", "curve": "theory.png"}


def print_summary(
    curves: Sequence[Curve], store: Store, tracking_uri: str | None
) -> None:
    """Print the table of certified accuracy of one run, and where everything lies.

    Args:
        curves: what was certified.
        store: of OUT.
        tracking_uri: of the recipe.
    """
    print_report(curves, store, {**OUT_PLACES, **REPORT_PLACES})
    folder = store.local_path
    uri = resolve_uri(tracking_uri, None if folder is None else folder.parent)
    Console().print(f"{'MLflow':<13} {uri}", soft_wrap=True, highlight=False)


def print_report(
    curves: Sequence[Curve], store: Store, places: Mapping[str, str]
) -> None:
    """Print the table of certified accuracy, and where some files lie.

    Args:
        curves: what was certified.
        store: where the files lie.
        places: names of the files, by what they are.
    """
    console = Console()
    console.print(summary_table(curves))
    if "certificates" in places and any(curve.sigma is None for curve in curves):
        places = {**places, "cascade": CASCADE_FILE}
    for what, name in places.items():
        console.print(f"{what:<13} {store.url}/{name}", soft_wrap=True, highlight=False)


def print_predictions(predictions: pa.Table, store: Store) -> None:
    """Print accuracy and abstention by sigma, and where the predictions lie.

    Args:
        predictions: one row per image and sigma.
        store: of OUT.
    """
    console = Console()
    for sigma in sorted(set(predictions["sigma"].to_pylist())):
        rows = predictions.filter(pc.equal(predictions["sigma"], sigma))
        right = pc.and_(
            pc.equal(rows["predicted_class"], rows["label"]),
            pc.invert(rows["abstained"]),
        )
        console.print(
            f"sigma {sigma:g}: {len(rows)} images, "
            f"right {100 * pc.mean(right).as_py():.1f} %, "
            f"abstained {100 * pc.mean(rows['abstained']).as_py():.1f} %"
        )
    console.print(f"predictions   {store.url}/predictions.parquet", soft_wrap=True)


def print_trained(path: Path) -> None:
    """Print where trained weights lie."""
    Console().print(f"weights       {path}", soft_wrap=True, highlight=False)


def print_checks(checks: "Sequence[Check]") -> None:
    """Print what the doctor found, with the remedies.

    Args:
        checks: in the order they were made.
    """
    colours = {"pass": "green", "warn": "yellow", "fail": "red"}
    table = Table("")
    for heading in ("looked at", "found", "remedy"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        status = f"[{colours[check.status]}]{check.status}[/]"
        table.add_row(status, *map(escape, (check.name, check.found, check.remedy)))
    Console().print(table)


def print_costs(costs: "Sequence[Cost]") -> None:
    """Print what a run will cost, a column for each sigma.

    Args:
        costs: of one run, by sigma.
    """
    (heading, *lines) = cost_lines(costs)
    table = Table(*heading)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        table.add_row(*map(escape, line))
    Console().print(table)


def print_purifiers(inspected: "Inspected") -> None:
    """Print what purifiers do, and where that is written.

    Args:
        inspected: with its files in OUT.
    """
    console = Console()
    console.print(purifier_table(inspected.lines))
    for name in inspected.files:
        console.print(f"{inspected.store.url}/{name}", soft_wrap=True, highlight=False)


def print_theory(theory: "Theory") -> None:
    """Print what theorems say of purifiers, a column for each recipe and sigma.

    Args:
        theory: what was measured, and where it was written.
    """
    console = Console()
    (heading, *lines) = zip(*theory_lines(theory.rows), strict=True)
    table = Table(*map(escape, heading))
    table.columns[0].no_wrap = True
    for line in lines:
        table.add_row(*map(escape, line))
    console.print(table)
    print_lines([*theory.remarks, THEORY_LEGEND])
    for what, name in THEORY_PLACES.items():
        console.print(
            f"{what:<13} {theory.store.url}/{name}", soft_wrap=True, highlight=False
        )


def print_ingested(ingested: "Ingested") -> None:
    """Print what a manifest holds, and what to know before using it.

    Args:
        ingested: what was written.
    """
    console = Console()
    for warning in ingested.warnings:
        logger.warning("%s", warning)
    console.print(
        f"{ingested.num_images:,} images of {ingested.dataset}, "
        f"{ingested.num_classes:,} classes, {ingested.num_bytes / 2**20:,.1f} MiB, "
        f"in {ingested.seconds:.1f} s",
        highlight=False,
    )
    for what, value in (("manifest", ingested.manifest), ("sha256", ingested.digest)):
        console.print(f"{what:<13} {value}", soft_wrap=True, highlight=False)


def print_compacted(sigmas: "Sequence[Compacted]") -> None:
    """Print what merging did to the vote files of each sigma.

    Args:
        sigmas: what it did, by sigma.
    """
    table = Table()
    headings = ("sigma", "files before", "after", "blocks", "MiB merged", "into", "s")
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in sigmas:
        table.add_row(
            f"{one.sigma:g}",
            f"{one.files_before:,}",
            f"{one.files_after:,}",
            f"{one.num_blocks:,}",
            f"{one.bytes_before / 2**20:,.2f}",
            f"{one.bytes_after / 2**20:,.2f}",
            f"{one.seconds:.1f}",
        )
    Console().print(table)


def print_lines(lines: Sequence[str]) -> None:
    """Print lines as they are.

    Args:
        lines: of plain text.
    """
    for line in lines:
        Console().print(line, soft_wrap=True, highlight=False, markup=False)
