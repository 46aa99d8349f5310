import os
from pathlib import Path

import pytest

from infra.tracking_client import require_reachable


def test_a_data_base_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    require_reachable(f"sqlite:///{tmp_path}/below/mlflow.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="needs a folder it can write"):
        require_reachable(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="needs a folder it can write"):
        require_reachable(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_server_that_does_not_answer_is_refused() -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9"):
        require_reachable("http://127.0.0.1:9")
