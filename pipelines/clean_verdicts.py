"""What accuracy without noise says of weights, input layer and order of classes."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import binom, binomtest

from ops.classify.ensemble import Ensemble
from pipelines.check import CHANCE, Check, Status
from pipelines.probe import Measured
from pipelines.recipe import Run
from pipelines.references import is_untrained
from pipelines.sample import Sample

IMAGES_PER_CLASS = 5
"""Images a class needs so that another order of classes can be told from errors."""

NO_LUCK = 0.6
"""Accuracy that the best order of the classes does not give to random guesses."""

MUCH_BETTER = 0.1
"""Gain in accuracy from which another setting is taken to be the right one."""


def judge_clean(measured: Measured, sample: Sample, run: Run) -> list[Check]:
    """Return what the accuracy on images without noise says of the classifier.

    Args:
        measured: of the sample.
        sample: with the true classes.
        run: for what is expected and the number of classes.
    """
    labels = np.array(sample.labels)
    checks = [_clean_accuracy(measured.clean, labels, run)]
    for judge in (_class_order, _input_layer):
        checks += judge(measured, labels, run)
    return checks


def _clean_accuracy(classes: np.ndarray, labels: np.ndarray, run: Run) -> Check:
    right, num = int((classes == labels).sum()), len(labels)
    found = f"{100 * right / num:.1f} % of {num}, by the classifier alone"
    remedy = (
        "Check classifier.input, data.preprocess, the order of the classes, and "
        "whether the weights are those of this data set."
    )
    expected = run.expect_clean_accuracy
    if expected is not None:
        found = f"{found}; {100 * expected:g} % expected"
        low = binom.cdf(right, num, expected) < CHANCE
        if low:
            return Check("clean accuracy", "fail", found, remedy)
        return Check("clean accuracy", "pass", found)
    guessed = binom.sf(right - 1, num, 1 / run.classifier.num_classes) > CHANCE
    if guessed and is_untrained(run.classifier):
        return Check("clean accuracy", "warn", f"{found}; the weights are untrained")
    if guessed:
        return Check(
            "clean accuracy", "fail", f"{found}: no better than chance", remedy
        )
    return Check(
        "clean accuracy", "pass", found, "Set expect_clean_accuracy to have it checked."
    )


def _class_order(measured: Measured, labels: np.ndarray, run: Run) -> list[Check]:
    """Return a failure if the classes are right, but called by other numbers."""
    own = float((measured.clean == labels).mean())
    as_text = np.array(sorted(range(run.classifier.num_classes), key=str))
    sorted_as_text = float((as_text[measured.clean] == labels).mean())
    remedy = "Take weights and data that number the classes in the same order."
    if sorted_as_text > own + MUCH_BETTER:
        found = (
            f"{100 * sorted_as_text:.1f} % are right if the numbers of the classes "
            f"were sorted as text (0, 1, 10, 100, ...)"
        )
        return [Check("class order", "fail", found, remedy)]
    if min(Counter(labels.tolist()).values()) < IMAGES_PER_CLASS:
        found = f"too few images of a class to tell ({IMAGES_PER_CLASS} are needed)"
        return [Check("class order", "pass", f"not sorted as text; {found}")]
    pairs, matched = _best_matching(measured.clean, labels)
    if matched <= max(own + MUCH_BETTER, NO_LUCK):
        return [Check("class order", "pass", "no other order fits better")]
    moved = [
        f"{label} is called {called}" for label, called in pairs if label != called
    ]
    found = f"{100 * matched:.1f} % are right if {', '.join(moved[:3])}"
    return [Check("class order", "fail", found, remedy)]


def _best_matching(
    classes: np.ndarray, labels: np.ndarray
) -> tuple[Sequence[tuple[int, int]], float]:
    size = int(max(classes.max(), labels.max())) + 1
    table = np.zeros((size, size), np.int64)
    np.add.at(table, (labels, classes), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    pairs = [
        (int(r), int(c)) for r, c in zip(rows, columns, strict=True) if table[r, c]
    ]
    return pairs, float(table[rows, columns].sum() / len(labels))


def _input_layer(measured: Measured, labels: np.ndarray, run: Run) -> list[Check]:
    """Return whether another input layer classifies the images better."""
    if not measured.other_inputs:
        return []
    own = measured.clean == labels
    accuracies = {n: (c == labels) for n, c in measured.other_inputs.items()}
    best = max(accuracies, key=lambda name: accuracies[name].mean())
    gain = accuracies[best].mean() - own.mean()
    gained = int((accuracies[best] & ~own).sum())
    changed = gained + int((own & ~accuracies[best]).sum())
    by_luck = not changed or binomtest(gained, changed, 0.5).pvalue > 2 * CHANCE
    if gain <= 0 or by_luck:
        return [Check("input layer", "pass", "no usual one classifies better")]
    found = f"{100 * gain:+.1f} points with {best}"
    status: Status = "fail" if gain > MUCH_BETTER else "warn"
    remedy = f"--set classifier.input={best!r}, if the weights were trained so."
    if isinstance(run.classifier, Ensemble):
        remedy = (
            f"Set input to {best!r} in classifier.members, if they were trained so."
        )
    return [Check("input layer", status, found, remedy)]
