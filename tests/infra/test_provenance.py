import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from infra.provenance import commit, hardware, provenance, versions


def git(folder: Path, *arguments: str) -> str:
    """Run git as an author of its own."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    answer = subprocess.run(
        ["git", "-C", str(folder), *author, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.strip()


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"] == version("torch")
    assert None not in found.values()


def test_a_folder_outside_git_has_no_commit(tmp_path: Path) -> None:
    assert commit(tmp_path) is None


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit(tmp_path) is None
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "--quiet", "--message", "a")
    head = git(tmp_path, "rev-parse", "HEAD")

    (tmp_path / "untracked").write_text("")
    assert commit(tmp_path) == {"commit": head, "dirty": False}
    (tmp_path / "a.py").write_text("2")
    assert commit(tmp_path) == {"commit": head, "dirty": True}


def test_hardware_tells_a_machine_that_can_run_this() -> None:
    found = hardware()
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0.5


def test_all_of_it_is_in_one_place() -> None:
    assert provenance().keys() == {"versions", "source", "hardware"}
