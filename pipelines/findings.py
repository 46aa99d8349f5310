"""What was looked at under one name, and all that was found wrong with it."""

from pipelines.check import Check

_NAMED = 3
"""Findings that a line names; of the others it says how many."""


class Findings:
    """Gathers what is wrong with one thing, to be told in one line."""

    def __init__(self, name: str, remedy: str) -> None:
        self._name, self._remedy = name, remedy
        self._wrong: list[str] = []
        self._num_wrong = 0

    def wrong(self, sentence: str) -> None:
        """Take notice of something wrong.

        Args:
            sentence: what, and where.
        """
        self._num_wrong += 1
        if len(self._wrong) < _NAMED:
            self._wrong.append(sentence)

    @property
    def all_right(self) -> bool:
        """Whether nothing wrong was found."""
        return not self._num_wrong

    def check(self, good: str) -> Check:
        """Return the line.

        Args:
            good: what to say where nothing is wrong.
        """
        if self.all_right:
            return Check(self._name, "pass", good)
        more = self._num_wrong - len(self._wrong)
        told = "; ".join(self._wrong) + (f"; and {more:,} more" if more else "")
        return Check(self._name, "fail", told, self._remedy)
