"""Images that cannot be served: their blocks are committed as failed, with a reason."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.object_store import open_store
from pipelines.attempts import Attempts
from pipelines.target import Target
from pipelines.units import Job, Unit

logger = logging.getLogger(__name__)

CARRIED = ("sigma", "image_key", "label", "stream", "block", "image_sha256")
"""Columns that pass every stage untouched."""


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Commits the blocks of images that cannot be served: all votes for no class."""

    sigma: float
    """Std of the certified noise, in [0, 1] pixels."""

    block: int
    """Copies in a block."""

    out: str
    target: Target
    attempts: Attempts

    def blocks(self, rows: Sequence[Mapping[str, Any]], reason: str) -> None:
        """Commit blocks of one image as failed.

        Args:
            rows: the carried columns of each.
            reason: why.
        """
        carried = [{name: row[name] for name in CARRIED} for row in rows]
        failed = self.target.failed(
            [{**row, "failure": reason} for row in carried], self.block
        )
        done = self.target.commit(open_store(self.out), failed, self.block)
        self.attempts.committed(done.name, blocks=done.blocks, votes=done.votes)
        self.attempts.meters.count("quarantined", len(rows))
        logger.warning("set aside", extra={"image": rows[0]["image_key"]})

    def image(
        self, unit: Unit, key: str, reason: str, sha256: str | None = None
    ) -> None:
        """Commit a unit's blocks of one image as failed.

        Args:
            unit: of which the image is part.
            key: of the image.
            reason: why.
            sha256: of its content, if it was read.
        """
        rows = [
            identity_row(job, block, self.sigma, sha256)
            for job in unit.jobs
            if job.entry.key == key
            for block in job.blocks
        ]
        self.blocks(rows, reason)

    def condemned(self, unit: Unit, reasons: Mapping[str, str]) -> None:
        """Commit a unit's blocks of images that are not tried again.

        Args:
            unit: of which the images are part.
            reasons: why, by key.
        """
        for key, reason in reasons.items():
            self.image(unit, key, f"Image {key!r} was set aside: {reason}.")


def identity_row(
    job: Job, block: int, sigma: float, sha256: str | None
) -> dict[str, Any]:
    """Return the carried columns of one block.

    Args:
        job: the block's.
        block: its number in the stream.
        sigma: std of the certified noise, in [0, 1] pixels.
        sha256: of the image's content; ``None`` for what the entry says.
    """
    return {
        "sigma": sigma,
        "image_key": job.entry.key,
        "label": job.entry.label,
        "stream": job.stream,
        "block": block,
        "image_sha256": sha256 or job.entry.sha256,
    }
