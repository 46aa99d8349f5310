"""What ``diffsmooth tune`` prints when it is done."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.tracking_address import resolve_uri
from pipelines.report import summary_table
from tune.report import unit_of
from tune.trial import Trial
from tune.tune_study import Tuned
from tune.winner import searched

_BEST = 10


def print_study(tuned: Tuned) -> None:
    """Print the best trials, the baselines, what to beware of, and where all lies.

    Args:
        tuned: what a study found.
    """
    console, study = Console(), tuned.study_job.chosen.study
    console.print(_table(tuned))
    if tuned.warning:
        console.print(tuned.warning, highlight=False)
    for curves in [tuned.confirmed] if tuned.confirmed else []:
        console.print(summary_table(curves))
    job = tuned.study_job.job
    folder = tuned.store.local_path
    uri = resolve_uri(
        job.recipe.runs[0].tracking.uri, None if folder is None else folder.parent
    )
    places = {
        "report": f"{tuned.store.url}/report/study.md",
        "budget": f"{tuned.store.url}/report/budget.md",
        "traces": f"{tuned.store.url}/traces/",
        "cost": f"in {unit_of(study)} per image",
        "MLflow": uri,
    }
    for name, place in places.items():
        console.print(f"{name:<13} {place}", soft_wrap=True, highlight=False)


def _table(tuned: Tuned) -> Table:
    study, trials = tuned.study_job.chosen.study, tuned.trials
    ordered = sorted(searched(trials), key=lambda one: (-_value(one), one.cost))
    shown = [*ordered[:_BEST], *(one for one in trials if one.baseline is not None)]
    caption = _caption(trials, len(ordered[:_BEST]))
    table = Table(caption=Text(caption), caption_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("setting", overflow="fold")
    table.add_column(Text(study.objective.name), justify="right")
    table.add_column("cost", justify="right")
    for one in shown:
        table.add_row(str(one.number), Text(one.name), _told(one), f"{one.cost:.4g}")
    return table


def _caption(trials: Sequence[Trial], num_shown: int) -> str:
    names = ("finished", "stopped", "refused", "failed")
    counts = {name: sum(one.status == name for one in trials) for name in names}
    told = ", ".join(f"{num} {name}" for name, num in counts.items() if num)
    return (
        f"The best {num_shown} of {len(trials)} trials ({told}), then the baselines; "
        f"95 % intervals over the choice of images."
    )


def _told(trial: Trial) -> str:
    if trial.score is None:
        return trial.status
    score = trial.score
    return f"{score.value:.4g} [{score.low:.3g}, {score.high:.3g}]"


def _value(trial: Trial) -> float:
    assert trial.score is not None  # only those with a score are listed
    return trial.score.value
