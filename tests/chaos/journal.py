"""What workers do under a fault: they note each block, are slow, die or hang.

A driver names :func:`install` as its workers' setup hook (``drivers.py``), so that the
product needs no hooks of its own.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

INJECTION = "CHAOS_INJECTION"
"""Environment variable that tells a worker what is injected, as JSON."""


@dataclass(frozen=True)
class Injection:
    """What the workers of a run do beside their work."""

    journal: str
    """File to which every worker appends what it does, a line each."""

    block_seconds: float = 0.0
    """Sleep before the noise of each block."""

    publish_seconds: float = 0.0
    """Sleep between writing a temporary file and giving it its name."""

    deadly_noise: tuple[str, ...] = ()
    """Keys of images whose noise kills the process that makes it."""

    deadly_decode: tuple[str, ...] = ()
    """Keys of images that kill the process that decodes them."""

    hanging: tuple[str, ...] = ()
    """Keys of images whose noise takes for ever."""

    logical_gpus: bool = False
    """Whether the cluster's GPUs are only counted, and its networks run on the CPU."""

    def text(self) -> str:
        """Return what :data:`INJECTION` has to be."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Line:
    """One line of the journal: which process did what, and when."""

    what: str
    """``block``, ``decode``, ``publish``, ``commit`` or ``committed``."""

    about: tuple[Any, ...]
    """Image key, stream and block; or image key; or name of a file."""

    pid: int
    node: str
    moment: float
    """Seconds since the epoch."""


def lines(journal: Path, what: str) -> list[Line]:
    """Return the lines of one kind that are there, in order of writing."""
    if not journal.exists():
        return []
    whole = journal.read_text().rpartition("\n")[0].splitlines()
    found = [json.loads(line) for line in whole]
    return [
        Line(**{**line, "about": tuple(line["about"])})
        for line in found
        if line["what"] == what
    ]


def blocks_repeated(journal: Path) -> int:
    """Return how many blocks were begun again after they had been begun once."""
    begun = [line.about for line in lines(journal, "block")]
    return len(begun) - len(set(begun))


def install() -> None:
    """Wrap what a worker calls; runs in each worker before its first task."""
    injection = Injection(**json.loads(os.environ[INJECTION]))
    # Deferred: the module is read by drivers' parents, which need none of it. In this
    # order, so that no module takes a name before it is wrapped.
    from infra import images

    images.decode = _noted_decode(images.decode, injection)
    os.link = _noted_link(os.link, injection)
    from ops.vote.add_noise import AddNoise
    from pipelines import ledger

    AddNoise.open = _noted_open(AddNoise.open, injection)
    ledger.commit = _noted_commit(ledger.commit, injection)
    if injection.logical_gpus:
        _count_gpus_only()


def _note(injection: Injection, what: str, *about: Any) -> None:
    import ray

    node = ray.get_runtime_context().get_node_id()
    line = Line(what, about, os.getpid(), node, time.time())
    flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY
    file = os.open(injection.journal, flags, 0o644)
    try:
        os.write(file, (json.dumps(asdict(line)) + "\n").encode())
    finally:
        os.close(file)


def _noted_open(open_op: Callable, injection: Injection) -> Callable:
    @wraps(open_op)
    def open_noted(op: Any, worker: Any) -> Callable:
        add_noise = open_op(op, worker)

        def noted(batch: Any) -> Any:
            for key, stream, block in _identities(batch):
                _begin_block(injection, key, stream, block)
            return add_noise(batch)

        return noted

    return open_noted


def _identities(batch: Any) -> Iterator[tuple[str, str, int]]:
    columns = (batch[name] for name in ("image_key", "stream", "block"))
    for key, stream, block in zip(*columns, strict=True):
        yield str(key), str(stream), int(block)


def _begin_block(injection: Injection, key: str, stream: str, block: int) -> None:
    _note(injection, "block", key, stream, block)
    time.sleep(injection.block_seconds)
    if key in injection.deadly_noise:
        os.kill(os.getpid(), signal.SIGKILL)
    while key in injection.hanging:
        time.sleep(1)


def _noted_decode(decode: Callable, injection: Injection) -> Callable:
    @wraps(decode)
    def noted(*content: Any, key: str, **others: Any) -> Any:
        _note(injection, "decode", key)
        if key in injection.deadly_decode:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(*content, key=key, **others)

    return noted


def _noted_link(link: Callable, injection: Injection) -> Callable:
    @wraps(link)
    def noted(source: Any, target: Any, **others: Any) -> None:
        if str(target).endswith(".parquet"):
            _note(injection, "publish", str(target))
            time.sleep(injection.publish_seconds)
        link(source, target, **others)

    return noted


def _noted_commit(commit: Callable, injection: Injection) -> Callable:
    @wraps(commit)
    def noted(*votes: Any, **others: Any) -> Any:
        name = commit(*votes, **others)
        _note(injection, "committed", str(name))
        return name

    return noted


def _count_gpus_only() -> None:
    """Let workers that were given a logical GPU compute on the CPU."""
    from dataclasses import replace

    from pipelines.worker import WorkerSettings

    for name in ("open", "conditions"):
        method = getattr(WorkerSettings, name)

        def on_cpu(settings: Any, method: Callable) -> Any:
            return method(replace(settings, use_gpu=False, num_threads=1))

        setattr(WorkerSettings, name, _as_method(partial(on_cpu, method=method)))


def _as_method(function: Callable) -> Callable:
    return lambda settings: function(settings)
