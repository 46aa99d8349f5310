import io
from pathlib import Path

import pytest
from PIL import Image

from infra.sources.class_folders import ClassFolders
from pipelines.ingest import ingest


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return class folders 0 and 3 with an image each."""
    for folder in ("0", "3"):
        path = tmp_path / "set" / folder / f"image_{folder}.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(png(2, 2))
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("layout", "settings", "out", "message"),
    [
        ("folders", [], "m.parquet", r"--layout has 'folders'\. Known: class_folders"),
        (
            "class_folders",
            ["sigma=1"],
            "m.parquet",
            "sigma: extra inputs .*num_classes",
        ),
        ("flat_devkit", [], "m.parquet", r"devkit: field required\. Set with --set: d"),
        ("class_folders", ["num_classes=x"], "m.parquet", "num_classes: input should"),
        ("class_folders", ["num_classes"], "m.parquet", "needs field=value"),
        ("class_folders", ["path=/else"], "m.parquet", "once; --set gives /else as"),
        ("class_folders", [], "m", r"--out has .*m\. Write .*m\.parquet"),
        ("class_folders", ["num_classes=2"], "m.parquet", r"folder '3' .* has 3"),
    ],
)
@pytest.mark.usefixtures("folders")
def test_what_cannot_be_ingested_is_refused_and_nothing_is_written(
    tmp_path: Path,
    layout: str,
    settings: list[str],
    out: str,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        ingest(f"{tmp_path}/set", layout, settings, f"{tmp_path}/{out}")
    assert list(tmp_path.glob("m*")) == []


def test_a_manifest_is_written_once(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = f"{tmp_path}/m.parquet"
    ingest(str(folders), "class_folders", [], out)
    before = Path(out).read_bytes()
    (folders / "0" / "e.png").write_bytes(png(1, 1))
    monkeypatch.setattr(ClassFolders, "read", None)  # refused before anything is read
    with pytest.raises(ValueError, match=r"needs a new name, .* at .*m\.parquet"):
        ingest(str(folders), "class_folders", [], out)
    assert Path(out).read_bytes() == before
