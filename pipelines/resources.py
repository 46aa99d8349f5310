"""The part of a recipe that says what a run asks of its cluster."""

from pydantic import NonNegativeFloat, PositiveInt

from pipelines.part import Part


class StageResources(Part):
    """What the actors of one stage ask of the cluster."""

    actors: PositiveInt | None = None
    """How many; ``None`` takes what the cluster has."""

    gpus: NonNegativeFloat | None = None
    """Accelerators each, fractions allowed; ``None``: all there are, shared fairly."""

    cpus: NonNegativeFloat | None = None
    """Cores each; ``None``: 0 beside a GPU, else a fair share that leaves one free."""


class Stages(Part):
    """Resources by stage: ``fused`` for the fused plan, the others for the staged."""

    fused: StageResources = StageResources()
    """The one stage that runs all four ops."""

    add_noise: StageResources = StageResources()
    """Noisy copies."""

    purify: StageResources = StageResources()
    """The purifier."""

    local_smooth: StageResources = StageResources()
    """The classifier over local noises."""

    count_votes: StageResources = StageResources()
    """Counting."""

    unit_votes: PositiveInt = 2_000
    """Votes in a work unit at most: what is lost if a worker dies."""

    attempts: PositiveInt = 3
    """Deaths of its worker after which an image is set aside."""


class RaySettings(Part):
    """Which cluster."""

    address: str | None = None
    """``auto`` or an address of a running cluster; ``None``: the one of
    ``RAY_ADDRESS``, or one that ends with the run."""

    no_progress_seconds: PositiveInt = 1800
    """After which a run in which nothing moves is ended, and what hangs is named."""
