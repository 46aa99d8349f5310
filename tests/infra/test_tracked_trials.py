from pathlib import Path

import pytest

from infra.tracked_trials import ended_trials
from infra.tracking import open_tracker


def test_trials_that_ended_are_known_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = open_tracker(f"sqlite:///{tmp_path}/mlflow.db", experiment="study")
    parent = tracker.start_parent("study", out="o", vote_identity="v")
    other = tracker.start_parent("other", out="o", vote_identity="w")
    for number in range(5):
        child = tracker.start_trial(parent, f"trial {number}", out="o", number=number)
        if number != 3:
            tracker.finish(child, succeeded=number != 1)
    elsewhere = tracker.start_trial(other, "trial 9", out="o", number=9)
    tracker.finish(elsewhere, succeeded=True)
    real = type(tracker.client).search_runs
    monkeypatch.setattr(
        type(tracker.client),
        "search_runs",
        lambda client, *words, **more: real(client, *words, max_results=2, **more),
    )

    assert ended_trials(tracker, parent) == {0, 1, 2, 4}
