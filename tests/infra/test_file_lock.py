import subprocess
import sys
from pathlib import Path

from infra.file_lock import file_lock

TRY = """
import fcntl, sys
file = open(sys.argv[1], "a")
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(7)
"""


def other_process_gets(path: Path) -> bool:
    code = subprocess.run([sys.executable, "-c", TRY, str(path)], check=False)
    return code.returncode == 0


def test_a_lock_keeps_other_processes_out_until_it_is_left(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one"

    with file_lock(path):
        assert not other_process_gets(path)
    assert other_process_gets(path)
