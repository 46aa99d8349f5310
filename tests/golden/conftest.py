import os
from pathlib import Path

import pytest


@pytest.fixture
def logs() -> Path:
    """Return the folder of the logs."""
    folder = Path(os.environ.get("DIFFSMOOTH_DATA", "")) / "cohen_logs"
    if "DIFFSMOOTH_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("DIFFSMOOTH_DATA names no folder that has cohen_logs")
    return folder
