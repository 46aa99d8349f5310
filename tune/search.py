"""A study under way: its candidates, and the trials that have ended."""

from dataclasses import dataclass, field
from functools import cached_property

from pipelines.reading import Reading
from tune.candidate import Candidate, candidate
from tune.chooser import Learning, everything, fixed_choices, known_choices
from tune.chosen import PLACEHOLDER, Choice, copies_key
from tune.groups import served_as_well, traced_as_a_whole, traced_together
from tune.prepare import StudyJob
from tune.records import Record, ended, read_certificates, read_records
from tune.study import OptunaSearch
from tune.suggest import Queue
from tune.trial import Trial
from tune.trial_run import Trying, curve_of


@dataclass
class Search:
    """A study under way: its candidates, and the trials that have ended."""

    study_job: StudyJob
    candidates: dict[str, Candidate] = field(default_factory=dict)

    def candidate(self, choice: Choice) -> Candidate:
        """Work out the run of a choice, once.

        Args:
            choice: of the study.
        """
        found = self.candidates.get(choice.key)
        if found is None:
            job = self.study_job
            num_images = len(job.job.entries)
            found = candidate(job.chosen, choice, job.models, num_images)
            self.candidates[choice.key] = found
        return found

    def copies_of(self, choice: Choice) -> str:
        """Return the key of the purified copies that a choice votes on.

        Args:
            choice: of the study.
        """
        return copies_key(self.study_job.chosen.run(choice, PLACEHOLDER))

    @cached_property
    def fixed(self) -> list[Choice]:
        """Choices that are tried whatever is found, in order."""
        return fixed_choices(self.study_job.chosen)

    @property
    def num_trials(self) -> int:
        """Trials in all, if there are points enough."""
        search = self.study_job.chosen.study.search
        learned = search.num_trials if isinstance(search, OptunaSearch) else 0
        return len(self.fixed) + learned

    def trying(self, number: int, found: Candidate) -> Trying:
        """Return a trial as Ray Tune hands it on.

        Args:
            number: of the trial.
            found: what it tries.
        """
        chosen = self.study_job.chosen
        others, searched = (), found.choice.baseline is None
        learns = isinstance(chosen.study.search, OptunaSearch)
        if searched and learns and not traced_as_a_whole(chosen):
            others = served_as_well(chosen, found.choice, self.candidate)
        return Trying(number, found, self.copies_of(found.choice), others)

    def together(self) -> dict[str, tuple[Reading, ...]]:
        """Return the runs that one pass serves, by model."""
        chosen = self.study_job.chosen
        return traced_together(chosen, self.candidate, self.copies_of)

    def queue(self) -> Queue:
        """Return the trials that are left."""
        study_job, search = self.study_job, self.study_job.chosen.study.search
        stored = read_records(study_job.store)
        records = [one for one in stored if one.status != "failed"]
        over = ended(records)
        left = [(n, one) for n, one in enumerate(self.fixed) if one.key not in over]
        known = {choice.key for _, choice in left}
        left += [
            (one.number, one.choice)  # which a search that learns chose, and failed
            for one in stored
            if one.status == "failed" and one.choice.key not in known
        ]
        learning = None
        if isinstance(search, OptunaSearch):
            learning = Learning(
                study_job.chosen,
                search,
                lambda choice: self.candidate(choice).reading is not None,
            )
        return Queue(
            records=records,
            known=iter(left),
            learning=learning,
            num_trials=self.num_trials,
            num_images=len(study_job.job.entries),
            candidate=self.candidate,
            trying=self.trying,
        )

    def refuse_if_nothing_can_be_tried(self) -> None:
        """Refuse a study every point of which is refused.

        Raises:
            ValueError: with the reason of the first.
        """
        chosen = self.study_job.chosen
        searched = known_choices(chosen)
        if searched is None:
            searched = everything(chosen) if traced_as_a_whole(chosen) else ()
        found = [self.candidate(choice) for choice in searched]
        if found and all(one.reading is None for one in found):
            raise ValueError(
                f"A study needs a point that can be tried; all {len(found)} are "
                f"refused, the first because: {found[0].refusal}"
            )

    def of(self, trial: Trial) -> Candidate:
        """Return what a trial tried.

        Args:
            trial: of the study.
        """
        records = {one.number: one for one in read_records(self.study_job.store)}
        return self.candidate(records[trial.number].choice)

    def trial(self, record: Record) -> Trial:
        """Return a record as reports show it, with its certificates.

        Args:
            record: of a trial that has ended.
        """
        found = self.candidate(record.choice)
        curve = score = None
        if record.rungs and found.reading is not None:
            table = read_certificates(self.study_job.store, record.number)
            curve = curve_of(found, found.reading, table)
            score = self.study_job.chosen.study.objective.score(curve)
        return Trial(
            number=record.number,
            setting=found.setting,
            baseline=record.choice.baseline,
            status=record.status,
            reason=record.reason,
            cost=record.cost,
            score=score,
            curve=curve,
        )
