"""Where faults are played: a small recipe, its undisturbed run, a case per fault."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import drivers
import processes
import yaml
from drivers import Driver, Environment
from journal import Injection, Line, blocks_repeated, lines
from outcomes import Outcome, blocks, certificates, counted_twice

from infra.local_store import is_temporary
from infra.object_store import Store, open_store

RECIPE: dict[str, Any] = {
    "data": {"source": "digits", "split": "test", "subset": "first:6"},
    "sigma": [0.5],
    "purifier": {"kind": "nothing"},
    "classifier": {"kind": "digits_cnn", "weights": {"untrained": 1}},
    "local": {"sigma": 0, "num": 1},
    "sampling": {"num_select": 20, "num_estimate": 100, "block": 20},
    "batch": 20,
    "stages": {"unit_votes": 40, "fused": {"actors": 1}},
}
"""Six digits, 42 blocks, at most two in a unit."""

BLOCK_SECONDS = 0.15
"""A block's time where nothing else is said: all of them together take six seconds."""


class Impossible(Exception):
    """This machine does not allow what a fault needs; says why."""


@dataclass(frozen=True)
class Ground:
    """A folder with a recipe and the bytes of its undisturbed run."""

    folder: Path
    address: str | None
    """Cluster that the drivers join; ``None``: each starts its own."""

    undisturbed: bytes = b""
    """Its ``certificates.parquet``."""

    @property
    def recipe(self) -> Path:
        """The recipe's file."""
        return self.folder / "six_digits.yaml"

    def case(self, name: str, plan: str = "fused", **injected: Any) -> "Case":
        """Return a run that is going to meet a fault."""
        journal = self.folder / f"{name}_{plan}.journal"
        injection = Injection(
            str(journal), **{"block_seconds": BLOCK_SECONDS, **injected}
        )
        out = str(self.folder / "runs" / f"{name}_{plan}")
        return Case(self, out, plan, injection)


def prepared(folder: Path, address: str | None) -> Ground:
    """Write the recipe and let it run undisturbed."""
    ground = Ground(folder, address)
    ground.recipe.write_text(yaml.safe_dump(RECIPE))
    case = ground.case("undisturbed", block_seconds=0.0)
    with case.driver() as driver:
        if driver.ended():
            raise AssertionError(f"the undisturbed run failed; {driver.told()}")
    return replace(ground, undisturbed=case.certified)


@dataclass(frozen=True)
class Case:
    """One run of the recipe and what is injected into it."""

    ground: Ground
    out: str
    plan: str
    injection: Injection
    settings: tuple[str, ...] = ()
    server: Environment = field(default_factory=dict)
    """What reaches OUT, if that is not on this machine."""

    @property
    def journal(self) -> Path:
        """What its workers did."""
        return Path(self.injection.journal)

    @property
    def store(self) -> Store:
        """OUT."""
        return open_store(self.out)

    @property
    def vote_files(self) -> list[str]:
        """Names of the votes that can be seen."""
        return [n for n in self.store.names("votes/") if n.endswith(".parquet")]

    @property
    def certified(self) -> bytes:
        """The certificates, empty where there are none yet."""
        name = "certificates.parquet"
        return self.store.read(name) if self.store.exists(name) else b""

    @property
    def words(self) -> list[str]:
        """The command."""
        settings = [f"plan={self.plan}", *self.settings]
        if self.ground.address:
            settings.append(f"ray.address={self.ground.address}")
        flags = [word for setting in settings for word in ("--set", setting)]
        return ["certify", str(self.ground.recipe), "--out", self.out, *flags]

    def driver(self) -> AbstractContextManager[Driver]:
        """Run the command, for the first time or again."""
        log = self.journal.with_suffix(".log")
        return drivers.started(self.words, self.injection, log, self.server)

    @contextmanager
    def voting(self, num_files: int = 1) -> Iterator[Driver]:
        """Run the command; the body begins when so many more vote files are there."""
        before = len(self.vote_files)
        with self.driver() as driver:
            driver.wait_until(
                lambda: len(self.vote_files) >= before + num_files,
                f"vote file {num_files}",
            )
            yield driver

    def next_line(
        self, what: str, wanted: Callable[[Line], bool] = lambda _: True
    ) -> Line:
        """Wait for the next line of that kind in the journal; returns it."""
        before = len(lines(self.journal, what))

        def new() -> list[Line]:
            return list(filter(wanted, lines(self.journal, what)[before:]))

        processes.wait_until(new, f"a new {what}", drivers.END_SECONDS)
        return new()[-1]

    def seconds_to_continue(self, fault: float) -> float | None:
        """Return the time from a moment to the first new vote file after it."""
        written = lines(self.journal, "committed")
        before = {line.about for line in written if line.moment <= fault}
        after = [line.moment for line in written if line.about not in before]
        return min(after) - fault if after else None

    def ended(self, driver: Driver) -> tuple[int, tuple[str, ...]]:
        """Wait for the last driver; returns its status and what it leaves behind."""
        status = driver.ended()
        return status, (*processes.left_after(driver.mark), *self.half_written)

    def run_again(
        self, fault: str, injected: str, left: tuple[str, ...] = ()
    ) -> Outcome:
        """Run the command once more, to its end; seconds count from this start.

        Args:
            fault: that the run before met.
            injected: what was done, when and how often.
            left: what the run before has left behind.
        """
        restarted = time.time()
        with self.driver() as driver:
            status, left_at_end = self.ended(driver)
        return self.outcome(
            fault,
            injected,
            seconds_to_continue=self.seconds_to_continue(restarted),
            status=status,
            left=(*left, *left_at_end),
        )

    @property
    def half_written(self) -> list[str]:
        """Temporary files under OUT."""
        if self.server:
            return []
        files = (str(path) for path in Path(self.out).rglob("*"))
        return [f"file {name}" for name in files if is_temporary(name)]

    def outcome(self, fault: str, injected: str, **measured: Any) -> Outcome:
        """Compare the run with the undisturbed one."""
        sampling, content = RECIPE["sampling"], self.certified
        draws = {name: sampling[name] for name in ("num_estimate", "block")}
        return Outcome(
            fault,
            injected,
            self.plan,
            votes_lost=len(wanted(self.ground) - blocks(self.store)),
            counted_twice=counted_twice(content, **draws) if content else 0,
            blocks_repeated=blocks_repeated(self.journal),
            same_bytes=content == self.ground.undisturbed,
            **measured,
        )


def keys(ground: Ground) -> list[str]:
    """Return the keys of the recipe's images, sorted."""
    return [row["image_key"] for row in certificates(ground.undisturbed)]


def wanted(ground: Ground) -> set[tuple[str, str, int]]:
    """Return the blocks that the recipe asks for."""
    sampling = RECIPE["sampling"]
    num = {
        "clean": 1,
        "select": sampling["num_select"] // sampling["block"],
        "estimate": sampling["num_estimate"] // sampling["block"],
    }
    return {
        (key, stream, block)
        for key in keys(ground)
        for stream in num
        for block in range(num[stream])
    }
