"""The cascade of a run as reports draw it: one more row beside its sigmas."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cascade import cascade_table, is_cascade, promise_of
from pipelines.certify_stage import Certified
from pipelines.claims import Claim, joined
from pipelines.curve import Curve
from pipelines.row_facts import shared_facts

_PROMISE = "cascade_failure_probability"


def cascade_curves(curves: Sequence[Curve], found: Sequence[Certified]) -> list[Curve]:
    """Return the curve of a run's cascade; none under another rule.

    Args:
        curves: of its sigmas.
        found: the certificates of these.
    """
    if not is_cascade(found):
        return []
    table = cascade_table(found)
    first = curves[0]
    return [
        Curve(
            run=first.run,
            sigma=None,
            certificates=_as_certificates(table),
            dataset=first.dataset,
            num_estimate=max(curve.num_estimate for curve in curves),
            failure_probability=promise_of(found),
            rule=first.rule,
            seconds=_seconds(curves),
            remark=f"{first.remark} {_remark(curves, table)}",
            claims=_claims(curves),
            facts=shared_facts([curve.facts for curve in curves]),
            stages=tuple(curves),
        )
    ]


def _as_certificates(table: pa.Table) -> pa.Table:
    """Return the columns a curve reads: -1 is no class, and null one nobody asked."""
    place = table.schema.get_field_index("guessed_class")
    guessed = pc.fill_null(table["guessed_class"], -1)
    nothing = pa.nulls(len(table), pa.int32())
    return table.set_column(place, "guessed_class", guessed).append_column(
        "clean_class", nothing
    )


def _remark(curves: Sequence[Curve], table: pa.Table) -> str:
    sigmas = sorted((curve.name for curve in curves), key=float, reverse=True)
    votes = float(np.mean(table["num_draws"].to_numpy()))
    return (
        f"Sigma {', '.join(sigmas)} are asked in this order until one answers; that "
        f"takes {votes:,.0f} of the N votes at each on average."
    )


def _seconds(curves: Sequence[Curve]) -> dict[str, float]:
    """Return what voting took at all sigmas, asked or not."""
    keys = sorted({key for curve in curves for key in curve.seconds})
    return {key: sum(curve.seconds.get(key, 0.0) for curve in curves) for key in keys}


def _claims(curves: Sequence[Curve]) -> list[Claim]:
    """Return what cascades have claimed of these votes; sigmas claim for themselves."""
    return joined(
        {**claim, "failure_probability": claim[_PROMISE]}
        for curve in curves
        for claim in curve.claims
        if _PROMISE in claim
    )
