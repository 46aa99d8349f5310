"""Which vote files were committed, in order, for all who follow a run."""


class Commits:
    """A list that only grows; who asks says how much of it is known."""

    def __init__(self) -> None:
        """Start with nothing committed."""
        self._blocks: dict[str, int] = {}
        self._decided = (0, 0)

    def take(self, name: str, blocks: int) -> bool:
        """Take notice of a file; return whether it is new.

        Args:
            name: of the vote file.
            blocks: in it.
        """
        if name in self._blocks:
            return False
        self._blocks[name] = blocks
        return True

    def since(self, known: int) -> tuple[list[str], int]:
        """Return the names that came after the first ``known``, and how many there are.

        Args:
            known: names there were when this was asked last; more than there are now
                if the list was lost, then all count as new.
        """
        names = list(self._blocks)
        return (names[known:] if known <= len(names) else names), len(names)

    def decide(self, images: int, certified: int) -> None:
        """Take notice of how many images have stopped.

        Args:
            images: that ask for no further vote.
            certified: of these, with a certificate for the right class.
        """
        self._decided = (images, certified)

    @property
    def progress(self) -> tuple[int, int, int]:
        """Images that stopped, those certified rightly, and blocks committed."""
        images, certified = self._decided
        return images, certified, sum(self._blocks.values())
