"""Files of EDM's own networks: told, converted and used as purifiers."""

from pathlib import Path

import pytest
import torch
import yaml
from edm_pickles_made import write_edm_pickle
from pydantic import TypeAdapter

from infra.weights.digest import digest
from infra.weights.load import licence_of, load
from ops.columns import Worker
from ops.purify.karras import precondition
from ops.purify.purifier import Purifier
from ops.weights import WeightsRef
from pipelines.convert import convert
from pipelines.inspect_weights import inspect
from pipelines.weight_files import found
from pipelines.worker import load_weights

WORKER = Worker(torch.device("cpu"), batch=2, load=load_weights)
LICENCE = "CC BY-NC-SA 4.0"


def test_pickle_is_told_with_its_licence_and_what_to_type(tmp_path: Path) -> None:
    file, out = str(tmp_path / "net.pkl"), str(tmp_path / "net.safetensors")
    write_edm_pickle(Path(file))
    told = inspect(file)
    assert told.facts["format"] == "edm_pickle"
    assert told.facts["network"] == "song_unet"
    assert told.facts["licence"] == LICENCE
    assert told.facts["unet"] == (
        "DDPM++ (SongUNet) of EDM, 8 px, 1 channels, widths [8, 16], unconditional"
    )
    assert told.facts["preconditioning"] == "sigma_data 0.7, purifies sigma up to 40"
    assert told.facts["says"] == "nothing else"
    assert told.advice == (
        f"As safetensors, for a cluster: diffsmooth convert {file} --out {out}",
        f"In a recipe: purifier: {{kind: edm, weights: {{path: {file}}}}}",
    )


@torch.no_grad()
def test_what_inspect_says_opens_the_pickle_and_what_it_converts_to(
    tmp_path: Path,
) -> None:
    file, out = tmp_path / "net.pkl", tmp_path / "net.safetensors"
    network = write_edm_pickle(file)
    convert(str(file), [], str(out))
    noisy = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    level = torch.full((2,), 0.5)
    clean = precondition(network, level, 0.7)(2.0 * noisy - 1.0).clamp(-1.0, 1.0)
    for path in (file, out):
        line = inspect(str(path)).advice[-1].removeprefix("In a recipe: ")
        purifier = TypeAdapter(Purifier).validate_python(
            yaml.safe_load(line)["purifier"]
        )
        purified = purifier.open(WORKER, 0.25)(noisy)
        torch.testing.assert_close(2.0 * purified - 1.0, clean)


def test_converted_file_says_what_the_pickle_said(tmp_path: Path) -> None:
    file, out = tmp_path / "net.pkl", tmp_path / "net.safetensors"
    write_edm_pickle(file, encoder_type="residual")
    convert(str(file), [], str(out))
    tensors, config = load(out)
    theirs, said = load(file)
    source = {"name": "net.pkl", "sha256": digest(file)}
    assert config == said | {"source": source}
    assert tensors.keys() == theirs.keys()
    told = inspect(str(out))
    assert told.facts["unet"].startswith("NCSN++ (SongUNet) of EDM")
    assert told.facts["licence"] == LICENCE
    assert told.facts["converted from"] == f"net.pkl, sha256 {digest(file)}"


@pytest.mark.parametrize("name", ["net.pkl", "net.safetensors"])
def test_licence_follows_the_weights_into_a_run(name: str, tmp_path: Path) -> None:
    write_edm_pickle(tmp_path / "net.pkl")
    convert(str(tmp_path / "net.pkl"), [], str(tmp_path / "net.safetensors"))
    path = str(tmp_path / name)
    assert licence_of(path) == LICENCE
    assert found(WeightsRef(path=path), {}).licence == LICENCE
    with pytest.raises(ValueError, match="the recipe has 'MIT', and"):
        found(WeightsRef(path=path, licence="MIT"), {})


def test_network_of_classes_is_no_purifier_but_without_a_class(tmp_path: Path) -> None:
    file = tmp_path / "net.pkl"
    write_edm_pickle(file, label_dim=4)
    told = inspect(str(file))
    assert told.facts["unet"].endswith("told 4 classes")
    assert told.advice[-1].startswith("No purifier as it was trained: it would have")
    ref = {"path": str(file)}
    refused = TypeAdapter(Purifier).validate_python({"kind": "edm", "weights": ref})
    with pytest.raises(ValueError, match="has label_dim 4"):
        refused.open(WORKER, 0.25)
    untold = {"kind": "edm", "weights": ref, "label": "null_class"}
    purify = TypeAdapter(Purifier).validate_python(untold).open(WORKER, 0.25)
    assert purify(torch.rand(2, 1, 8, 8)).isfinite().all()


def test_pickle_whose_tensors_do_not_fit_what_it_says_is_not_converted(
    tmp_path: Path,
) -> None:
    file, out = tmp_path / "net.pkl", tmp_path / "net.safetensors"
    write_edm_pickle(file, lies={"channel_mult_noise": 2})
    with pytest.raises(ValueError, match=r"net\.pkl has .*map_layer0\.weight"):
        convert(str(file), [], str(out))
    assert not out.exists()


@pytest.mark.parametrize("verb", ["inspect", "convert", "run"])
def test_hostile_pickle_is_refused_and_runs_nothing(verb: str, tmp_path: Path) -> None:
    made, file, out = (tmp_path / name for name in ("made", "net.pkl", "x.safetensors"))
    write_edm_pickle(file, beside={"loss_fn": Touching(made)})
    refusing = {
        "inspect": lambda: inspect(str(file)),
        "convert": lambda: convert(str(file), [], str(out)),
        "run": lambda: load_weights(WeightsRef(path=str(file))),
    }
    with pytest.raises(ValueError, match=r"net\.pkl wants to run \w+\.open\. Fetch"):
        refusing[verb]()
    assert not made.exists()


class Touching:
    """Makes a file when it is unpickled by one who runs what it asks for."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return open, (str(self.file), "w")
