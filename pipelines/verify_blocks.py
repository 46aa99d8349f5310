"""Whether the blocks of one vote file can be what its run was asked for."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ops.vote.streams import num_copies
from pipelines.duplicates import found_again
from pipelines.ledger import BY_KEY
from pipelines.reading import reading_of
from pipelines.recipe import Run

_KEY = ["image_key", "stream", "block"]
_NEEDED = [*_KEY, "sigma", "label", "counts", "invalid"]


def wrong_blocks(rows: pa.Table, run: Run) -> Iterator[str]:
    """Yield what no block of a run can be, and the first block that is.

    Args:
        rows: of one vote file.
        run: that cast them, as the file tells it.
    """
    missing = [name for name in _NEEDED if rows[name].null_count]
    if missing:
        yield f"a block has no {missing[0]}"
        return
    for what, wrong in _impossible(rows, run).items():
        if wrong.any():
            key = rows.select(_KEY).slice(int(wrong.argmax()), 1).to_pylist()[0]
            image, stream, block = (key[name] for name in _KEY)
            yield f"block {block} of {stream} of {image!r} {what}"
    keys = rows.select(_KEY)
    if not keys.equals(rows.sort_by(BY_KEY).select(_KEY)):
        yield "its blocks are not in order"
    if len(found_again(rows)[0]):
        yield "it has a block twice"


def _impossible(rows: pa.Table, run: Run) -> Mapping[str, np.ndarray]:
    """Return what may not be of a block, and bool ``row`` for which it is."""
    owner, classes, counts = _counted(rows)
    total = np.zeros(len(rows), np.int64)
    np.add.at(total, owner, counts)
    invalid, label = rows["invalid"].to_numpy(), rows["label"].to_numpy()
    num_classes = run.classifier.num_classes
    copies, asked = _copies(rows, run)
    block = rows["block"].to_numpy()
    failed = rows["failure"].is_valid().to_numpy()

    def of_rows(wrong: np.ndarray) -> np.ndarray:
        return np.isin(np.arange(len(rows)), owner[wrong])

    return {
        "has votes that do not add up to its copies": total + invalid != copies,
        "has a count below 1": of_rows(counts < 1) | (invalid < 0),
        "has a class there is not": of_rows((classes < 0) | (classes >= num_classes)),
        "is none that was asked for": (block < 0) | (block >= asked),
        "has votes for a class although it failed": failed & (total > 0),
        "has a label there is not": (label < 0) | (label >= num_classes),
        "is of another sigma": rows["sigma"].to_numpy() != run.sigma,
    }


def _counted(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, class and count of each entry of the sparse counts."""
    counts = rows["counts"].combine_chunks()
    entries = pc.list_flatten(counts)
    columns = (pc.struct_field(entries, name) for name in ("class", "count"))
    classes, numbers = (pc.fill_null(column, -1).to_numpy() for column in columns)
    return pc.list_parent_indices(counts).to_numpy(), classes, numbers


def _copies(rows: pa.Table, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return how many copies each block has, and how many blocks its stream has."""
    own = {**reading_of(run, 1).blocks, "predict": run.sampling.predict_blocks}
    streams = rows["stream"].combine_chunks().dictionary_encode()
    names, which = streams.dictionary.to_pylist(), streams.indices.to_numpy()
    copies = [num_copies(name, run.sampling.block) for name in names]
    asked = [own.get(name, 0) for name in names]
    return np.array(copies, np.int64)[which], np.array(asked, np.int64)[which]
