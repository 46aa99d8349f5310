"""What the command line prints when a verb is done."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from infra.object_store import Store
from infra.tracking_address import resolve_uri
from pipelines.curve import Curve
from pipelines.report import summary_table

OUT_PLACES = {"votes": "votes/", "certificates": "certificates.parquet"}
REPORT_PLACES = {
    "tables": "report/table.md",
    "curve": "report/curve.png",
    "page": "report/index.html",
}


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
