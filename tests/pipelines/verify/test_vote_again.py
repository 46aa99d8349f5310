from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from safetensors.torch import load_file

from infra.object_store import Store
from infra.tables import to_bytes
from infra.weights.safetensors_file import write
from ops.classify.digits_cnn import DigitsCnn
from ops.weights import WeightsRef
from pipelines.block_sample import sampled_blocks
from pipelines.check import Check
from pipelines.compact import compact
from pipelines.ledger import VOTES, vote_files
from pipelines.recipe import Recipe
from pipelines.recount import recount
from pipelines.verify import verify
from pipelines.weights import resolve

Checked = Callable[..., dict[str, Check]]
Names = Callable[[], list[str]]
Read = Callable[[str], tuple[pa.Table, dict[str, str]]]
Change = Callable[..., None]
NAME = "votes cast again"


def blocks_of(rows: list[dict]) -> set[tuple]:
    keys = ("sigma", "image_key", "stream", "block")
    return {tuple(row[key] for key in keys) for row in rows}


def test_blocks_voted_again_are_equal_and_prove_so_much(out: Store) -> None:
    found = verify(out.url, num_again=10)

    assert found.checks[-1] == Check(NAME, "pass", "10 equal")
    assert "95 % confidence fewer than 25.9 % are wrong" in found.verdict
    assert found.holds


def test_all_blocks_are_voted_again_if_so_many_are_asked_for(
    checked: Checked,
) -> None:
    assert checked(num_again=999)[NAME].found == "24 equal"


def test_a_vote_that_was_moved_is_found_when_it_is_cast_again(
    names: Names, read: Read, change: Change, failed: Checked
) -> None:
    row = read(names()[0])[0].to_pylist()[0]
    most = max(row["counts"], key=lambda entry: entry["count"])
    copies = sum(entry["count"] for entry in row["counts"])
    moved = [{"class": (most["class"] + 1) % 10, "count": copies}]
    change(names()[0], counts=moved)

    found = failed(num_again=999)[NAME].found

    assert found.startswith("1 of 24 differ")
    assert f"block {row['block']} of {row['stream']} of {row['image_key']!r}" in found


def test_a_sample_holds_no_block_twice_and_every_run(out: Store) -> None:
    counted = recount(out)
    everything = sampled_blocks(counted, "seed", 999)

    assert len(blocks_of(everything)) == len(everything) == 24
    assert {row["sigma"] for row in everything} == {0.25, 0.5}
    assert len(blocks_of(sampled_blocks(counted, "seed", 7))) == 7


def test_every_block_is_drawn_about_as_often(out: Store) -> None:
    counted, drawn = recount(out), dict.fromkeys(range(24), 0)
    order = sorted(blocks_of(sampled_blocks(counted, "seed", 999)))
    for seed in range(200):
        for key in blocks_of(sampled_blocks(counted, str(seed), 6)):
            drawn[order.index(key)] += 1

    # 50 each in the mean, with a standard deviation of 6.1; five of them at most.
    assert min(drawn.values()) > 19
    assert max(drawn.values()) < 81


def test_the_sample_hangs_on_the_votes_and_not_on_their_files(out: Store) -> None:
    before = sampled_blocks(recount(out), "seed", 7)
    assert blocks_of(before) != blocks_of(sampled_blocks(recount(out), "other", 7))

    compact(out.url)

    assert sampled_blocks(recount(out), "seed", 7) == before


def test_images_that_failed_are_not_drawn(
    out: Store, names: Names, change: Change
) -> None:
    name = names()[0]
    change(name, failure="broken", counts=[], invalid=10)

    assert len(sampled_blocks(recount(out), "seed", 999)) == 23


def test_votes_of_another_batch_shape_are_cast_in_that_shape(
    finish: Callable[[Recipe, Path], Store],
    recipe_of: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    store = finish(recipe_of("batch=5"), tmp_path / "five")
    text = store.read("recipe.yaml").decode()
    store.write("recipe.yaml", text.replace("batch: 5", "batch: 10").encode())

    found = verify(store.url, num_again=999)

    assert found.checks[-1].found == "12 equal"


def test_of_other_conditions_the_share_that_flips_is_told(
    out: Store, names: Names, change: Change, checked: Checked
) -> None:
    change(names()[0], conditions='{"batch": 10, "device": "another"}')

    found = checked(num_again=999)[NAME]

    assert (found.status, found.found) == (
        "pass",
        "23 equal; of 1 cast under conditions this process has not, at least 0 % of "
        "the votes flip",
    )


def moved(row: dict[str, Any], num: int) -> dict[str, Any]:
    """Return a noisy block with some votes for another class, cast elsewhere."""
    votes = {entry["class"]: entry["count"] for entry in row["counts"]}
    most = max(votes, key=lambda c: votes[c])
    other = (most + 1) % 10
    votes |= {most: votes[most] - num, other: votes.get(other, 0) + num}
    counts = [{"class": c, "count": n} for c, n in sorted(votes.items()) if n]
    return {**row, "counts": counts, "conditions": '{"batch": 10, "device": "another"}'}


@pytest.mark.parametrize(("num", "status"), [(1, "warn"), (2, "fail")])
def test_many_flips_between_conditions_are_a_warning_and_more_a_failure(
    num: int, status: str, out: Store, names: Names, read: Read
) -> None:
    for name in names():
        rows, facts = read(name)
        listed = [
            row if row["stream"] == "clean" else moved(row, num)
            for row in rows.to_pylist()
        ]
        out.write(name, to_bytes(pa.Table.from_pylist(listed, VOTES), facts))

    found = verify(out.url, num_again=999)

    assert found.checks[-1].status == status
    assert "the blocks cast under these conditions were wrong" in found.proof


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """Return a file of weights for the classifier."""
    network = DigitsCnn(weights=WeightsRef(untrained=0)).network()
    path = tmp_path / "cnn.safetensors"
    write(path, network.state_dict(), {})
    return path


@pytest.fixture
def weighed(
    finish: Callable[[Recipe, Path], Store],
    recipe_of: Callable[..., Recipe],
    weights_file: Path,
    tmp_path: Path,
) -> Store:
    """Return an OUT whose classifier lies in a file."""
    recipe = recipe_of(f"classifier.weights={{path: {weights_file}}}")
    return finish(resolve(recipe), tmp_path / "weighed")


def test_other_weights_are_found(weighed: Store, weights_file: Path) -> None:
    assert verify(weighed.url, num_again=3).holds
    tensors = load_file(weights_file)
    write(weights_file, {name: tensor + 1 for name, tensor in tensors.items()}, {})

    last = verify(weighed.url, num_again=3).checks[-1]

    assert (last.name, last.status) == (NAME, "fail")
    assert "needs weights with sha256" in last.found


def test_weights_that_are_gone_are_told(weighed: Store, weights_file: Path) -> None:
    weights_file.unlink()

    last = verify(weighed.url, num_again=3).checks[-1]

    assert (last.name, last.status) == (NAME, "fail")


def test_another_image_than_was_voted_on_is_found(out: Store, read: Read) -> None:
    key = read("images.parquet")[0]["image_key"][0].as_py()
    files = [name for sigma in (0.25, 0.5) for name in vote_files(out, sigma)]
    for name in ["images.parquet", *files]:
        rows, facts = read(name)
        listed = rows.to_pylist()
        for row in listed:
            if row["image_key"] == key:
                row |= {n: "0" * 64 for n in ("sha256", "image_sha256") if n in row}
        out.write(name, to_bytes(pa.Table.from_pylist(listed, rows.schema), facts))

    found = verify(out.url, num_again=999)

    assert [one.name for one in found.checks if one.status == "fail"] == [NAME]
    assert f"{key!r} has sha256" in found.checks[-1].found
    assert found.checks[-1].remedy == "Restore the image."


def test_no_blocks_are_voted_again_unless_asked_for(checked: Checked) -> None:
    assert NAME not in checked()


def test_a_negative_number_of_blocks_is_refused(out: Store) -> None:
    with pytest.raises(ValueError, match="--recompute has -1"):
        verify(out.url, num_again=-1)
