"""Every case of bad input that is refused, with the words its message must hold."""

import io
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from infra import cluster
from infra.tracking_address import resolve_uri
from pipelines.prepare import prepare_recipe
from pipelines.recipe import load_recipe


@dataclass
class Workshop:
    """Where a case makes what is wrong."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    written: str
    cast: Callable[..., Any]
    run_of: Callable[..., Any]
    out: str = field(default="")

    def certify(self, *settings: str, name: str | None = None) -> None:
        out = self.out or str(self.folder / "out")
        recipe = load_recipe(name or self.written, list(settings))
        prepare_recipe(recipe, out)

    def recipe(self, text: str) -> None:
        path = self.folder / "odd.yaml"
        path.write_text(text)
        self.certify(name=str(path))

    def parquet(self, label: int, *settings: str) -> None:
        picture = io.BytesIO()
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture, "png")
        rows = {
            "img": [{"bytes": picture.getvalue(), "path": None}],
            "label": [label],
        }
        pq.write_table(pa.table(rows), self.folder / "test.parquet")
        self.certify(
            f"data={{source: hf_parquet, path: {self.folder}/test.parquet}}", *settings
        )

    def weights(self, content: Any) -> None:
        torch.save(content, self.folder / "w.pt")
        self.certify(f"classifier.weights={{path: {self.folder}/w.pt}}")

    def beside(self, name: str) -> None:
        path = self.folder / "out" / name
        path.parent.mkdir(parents=True)
        path.touch()
        self.certify()

    def pictures(self, *contents: bytes) -> None:
        folder = self.folder / "pictures" / "0"
        folder.mkdir(parents=True)
        for index, content in enumerate(contents):
            (folder / f"{index}.png").write_bytes(content)
        self.certify(
            f"data={{source: class_folders, path: {folder.parent}, subset: full}}"
        )


class Unsafe:
    """Something only running code can rebuild."""


COLOURS = "kind: cifar_resnet, weights: {untrained: 0}, depth: 8, shortcut: A"

CASES: dict[str, tuple[Callable[[Workshop], object], list[str]]] = {
    "unknown recipe": (
        lambda w: w.certify(name="digits_dsd"),
        ["'digits_dsd'", "Nearest: digits_dds"],
    ),
    "recipe file that is not there": (
        lambda w: w.certify(name="no/such.yaml"),
        ["no/such.yaml has none", "name a packaged recipe"],
    ),
    "unreadable YAML": (
        lambda w: w.recipe("sigma: [0.25\nseed: 0"),
        ["odd.yaml has", "line 2", "Mend the line"],
    ),
    "YAML that is no mapping": (
        lambda w: w.recipe("- a\n- b"),
        ["mapping of fields", "odd.yaml has list"],
    ),
    "recipe that is no text": (
        lambda w: w.certify(name=_binary(w)),
        ["YAML in UTF-8", "binary.yaml has"],
    ),
    "unset environment variable": (
        lambda w: w.certify("data.path=${NOT_SET_ANYWHERE}/x"),
        ["environment variable NOT_SET_ANYWHERE", "has no value"],
    ),
    "setting without =": (
        lambda w: w.certify("seed"),
        ["--set needs field=value", "'seed'"],
    ),
    "setting that is no YAML": (
        lambda w: w.certify("seed=[1"),
        ["--set needs a YAML value", "'[1'"],
    ),
    "setting below a number": (
        lambda w: w.certify("batch.x=1"),
        ["'batch.x'", "'batch' has 10", "Set 'batch' itself"],
    ),
    "unknown field": (
        lambda w: w.certify("sed=1"),
        ["'sed'", "Did you mean 'seed'?"],
    ),
    "unknown field in data": (
        lambda w: w.certify("data.subst=full"),
        ["'data.subst'", "Did you mean 'subset'?"],
    ),
    "unknown field of a source": (
        lambda w: w.certify("data.spilt=test"),
        ["'data.spilt'", "Did you mean 'split'?"],
    ),
    "unknown field in sampling": (
        lambda w: w.certify("sampling.num_estimat=100"),
        ["'sampling.num_estimat'", "Did you mean 'num_estimate'?"],
    ),
    "unknown field in a classifier": (
        lambda w: w.certify("classifier.num_clases=10"),
        ["'classifier.num_clases'", "Did you mean 'num_classes'?"],
    ),
    "unknown field in weights": (
        lambda w: w.certify("classifier.weights.pth=x"),
        ["'classifier.weights.pth'", "Did you mean 'path'?"],
    ),
    "unknown kind": (
        lambda w: w.certify("classifier.kind=resnet"),
        ["kind", "'classifier'", "'resnet'", "'cifar_resnet'"],
    ),
    "unknown field of a part that may be left out": (
        lambda w: w.certify(
            "classifier={kind: timm, weights: {untrained: 0}, name: resnet18.tv_in1k, "
            "input: {kind: none, maen: [0.5]}}"
        ),
        ["'classifier.input.maen'", "Did you mean 'mean'?"],
    ),
    "no kind": (
        lambda w: w.certify("purifier={}"),
        ["kind", "'purifier'", "no value"],
    ),
    "unknown source": (
        lambda w: w.certify("data={source: cifar}"),
        ["source", "'cifar'", "'hf_parquet'"],
    ),
    "missing part": (
        lambda w: w.recipe("sigma: 0.25\nseed: 0"),
        ["the field 'data'", "the field 'classifier'", "--set"],
    ),
    "sigma of 0": (
        lambda w: w.certify("sigma=0"),
        ["sigma above 0", "has 0"],
    ),
    "negative sigma among others": (
        lambda w: w.certify("sigma=[0.25, -0.5]"),
        ["sigma above 0", "has -0.5"],
    ),
    "no sigma": (
        lambda w: w.recipe("purifier: {kind: nothing}"),
        ["sigma above 0", "has None"],
    ),
    "an empty list of sigmas": (
        lambda w: w.certify("sigma=[]"),
        ["sigma above 0", "has None"],
    ),
    "sigma twice": (
        lambda w: w.certify("sigma=[0.25, 0.25]"),
        ["each sigma once", "[0.25, 0.25]"],
    ),
    "sigma that is no number": (
        lambda w: w.certify("sigma=[low]"),
        ["sigma above 0", "has 'low'"],
    ),
    "sigma without end": (
        lambda w: w.certify("sigma=.inf"),
        ["sigma", "inf", "inf"],
    ),
    "per_sigma without an entry": (
        lambda w: w.certify("local.sigma={per_sigma: {0.5: 0.1}}"),
        ["local.sigma.per_sigma", "sigma 0.25", "[0.5]"],
    ),
    "per_sigma that is no mapping": (
        lambda w: w.certify("local.sigma={per_sigma: 3}"),
        ["local.sigma.per_sigma", "mapping", "has 3"],
    ),
    "several local noises of std 0": (
        lambda w: w.certify("local={sigma: 0, num: 5}"),
        ["local needs num 1", "num has 5"],
    ),
    "N not in whole blocks": (
        lambda w: w.certify("sampling.num_estimate=1005"),
        ["whole blocks of 10", "num_estimate has 1005", "Take 1010"],
    ),
    "N0 not in whole blocks": (
        lambda w: w.certify("sampling.num_select=5"),
        ["whole blocks of 10", "num_select has 5", "Take 10"],
    ),
    "too few votes to certify anything": (
        lambda w: w.certify(
            "sampling.failure_probability=0.00001", "sampling.num_estimate=10"
        ),
        ["num_estimate >= 17", "it has 10"],
    ),
    "failure probability of 0": (
        lambda w: w.certify("sampling.failure_probability=0"),
        ["'sampling.failure_probability'", "greater than 0", "has 0"],
    ),
    "failure probability of 1": (
        lambda w: w.certify("sampling.failure_probability=1"),
        ["'sampling.failure_probability'", "less than 1", "has 1"],
    ),
    "two sources of weights": (
        lambda w: w.certify("classifier.weights.path=x.pt"),
        ["exactly one of path, recipe and untrained", "x.pt"],
    ),
    "missing weights file": (
        lambda w: w.certify("classifier.weights={path: /no/such/w.pt}"),
        ["weights needs a file", "/no/such/w.pt has none"],
    ),
    "weights that changed": (
        lambda w: w.certify(f"classifier.weights={{path: {_file(w)}, sha256: '12'}}"),
        ["sha256 12", "w.pt has"],
    ),
    "weights of another network": (
        lambda w: w.weights({"0.weight": torch.zeros(16, 1, 3, 3)}),
        ["'0.weight'", "(16, 1, 3, 3)", "(32, 1, 3, 3)"],
    ),
    "weights whose file names another network": (
        lambda w: w.weights(
            {"state_dict": {"fc.bias": torch.zeros(10)}, "arch": "cifar_resnet110"}
        ),
        ["needs kind: cifar_resnet, depth: 110", "w.pt says", "has kind: digits_cnn"],
    ),
    "weights that want to run code": (
        lambda w: w.weights({"model": Unsafe()}),
        ["tensors and plain values only", "wants to run", "Unsafe"],
    ),
    "bad subset": (
        lambda w: w.certify("data.subset=last:3"),
        ["data.subset needs full, first:n, stride:k", "or cohen500", "'last:3'"],
    ),
    "random subset without a seed": (
        lambda w: w.certify("data.subset=random:50"),
        ["random:n:seed", "'random:50'", "random:500:0"],
    ),
    "Cohen's 500 of a data set of another size": (
        lambda w: w.certify("data.subset=cohen500"),
        ["multiple of 500", "the data set has 619"],
    ),
    "unknown preprocessing": (
        lambda w: w.certify("data.preprocess=cohen_256"),
        ["data.preprocess needs none, cohen_224, adm_center:SIZE", "'cohen_256'"],
    ),
    "crop that needs a border": (
        lambda w: w.certify("data.preprocess=resize_crop:200:224:bilinear"),
        ["data.preprocess", "a crop of 224 from 200", "Make RESIZE larger"],
    ),
    "more images than there are": (
        lambda w: w.certify("data.subset=first:99999"),
        ["at least 99999 images", "has 619"],
    ),
    "empty data set": (
        lambda w: w.pictures(),
        ["needs image files", "pictures has none"],
    ),
    "no image that can be decoded": (
        lambda w: w.pictures(b"", b"nothing"),
        ["images it can decode", "none of 2"],
    ),
    "unlabelled images": (
        lambda w: w.parquet(-1),
        ["labels in [0, 10)", "has -1", "unlabelled"],
    ),
    "label beyond the classifier's": (
        lambda w: w.parquet(7, "classifier.num_classes=5", "data.num_classes=10"),
        ["labels in [0, 5)", "has 7"],
    ),
    "grey images into an input layer of colours": (
        lambda w: w.certify(f"classifier={{{COLOURS}, input: imagenet}}"),
        ["3 means", "the image has 1"],
    ),
    "grey images into a network of colours": (
        lambda w: w.certify(f"classifier={{{COLOURS}, input: {{kind: none}}}}"),
        ["(1, 8, 8)", "3 channels", "Check data.preprocess"],
    ),
    "OUT that cannot be written": (
        lambda w: _at(w, str(_file(w) / "out")),
        ["needs a place it can write", "w.pt/out"],
    ),
    "OUT in a place of no known kind": (
        lambda w: _at(w, "ftp://host/x"),
        ["local path or s3://bucket/prefix", "ftp://host/x"],
    ),
    "OUT with votes of another identity": (
        lambda w: _continue_as_another(w),
        ["seed: 0, now 1", "local.num: 3, now 4", "precision: 'float32', now 'bfl"],
    ),
    "OUT with a study": (
        lambda w: w.beside("studies/one/study.json"),
        ["an OUT of its own", "has a study", "another --out"],
    ),
    "recipe with a study": (
        lambda w: w.certify(name="budget_matched_digits"),
        ["budget_matched_digits has study", "Run diffsmooth tune"],
    ),
    "OUT with an imported log": (
        lambda w: _over_an_import(w),
        ["an OUT of its own", "has an imported log", "another --out"],
    ),
    "tracking in a folder": (
        lambda w: resolve_uri("runs/mlruns", w.folder),
        ["tracking.uri", "'runs/mlruns'", "folder", "sqlite:///"],
    ),
}


def _binary(workshop: Workshop) -> str:
    path = workshop.folder / "binary.yaml"
    path.write_bytes(b"\x89PNG\xff\xfe")
    return str(path)


def _file(workshop: Workshop) -> Path:
    path = workshop.folder / "w.pt"
    path.write_bytes(b"content")
    return path


def _at(workshop: Workshop, out: str) -> None:
    workshop.out = out
    workshop.certify()


def _continue_as_another(workshop: Workshop) -> None:
    workshop.cast(workshop.run_of(), workshop.folder / "out", {"clean": 1})
    workshop.certify("seed=1", "local.num=4", "precision=bfloat16")


def _over_an_import(workshop: Workshop) -> None:
    (workshop.folder / "out").mkdir()
    manifest = workshop.folder / "out" / "manifest.json"
    manifest.write_text('{"kind": "imported"}')
    workshop.certify()


@pytest.fixture
def workshop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: str,
    cast: Callable[..., Any],
    run_of: Callable[..., Any],
) -> Workshop:
    def no_cluster(address: str | None) -> bool:
        raise AssertionError("a cluster was started before the refusal")

    monkeypatch.setattr(cluster, "start", no_cluster)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Workshop(tmp_path, monkeypatch, written, cast, run_of)


@pytest.mark.parametrize("case", CASES)
def test_refused_before_a_cluster_starts_in_words_that_help(
    workshop: Workshop, case: str
) -> None:
    provoke, words = CASES[case]

    with pytest.raises((ValueError, OSError)) as refused:
        provoke(workshop)

    message = str(refused.value)
    assert [word for word in words if word not in message] == [], message
    # WHO needs WHAT; WHERE has VALUE. DO THIS.
    for sentence in message.splitlines():
        assert re.search(r"\bneeds?\b[^;]+;.+\. .*[A-Z].+[.)]$", sentence), sentence


def test_one_image_that_cannot_be_decoded_is_told_and_not_refused(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    workshop.monkeypatch.setattr(cluster, "start", lambda address: True)
    picture = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture, "png")

    with pytest.raises(ValueError, match="expected input"):
        workshop.pictures(b"broken", picture.getvalue())

    (warned,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "Image '0' needs to be a file that Pillow can decode" in warned.getMessage()


def test_a_good_recipe_is_refused_nowhere_and_written_down(
    workshop: Workshop,
) -> None:
    started = []
    workshop.monkeypatch.setattr(cluster, "start", started.append)

    workshop.certify()

    assert started == [None]
    assert (workshop.folder / "out" / "recipe.yaml").exists()
