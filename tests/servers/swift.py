"""OpenStack Swift with its S3 interface on this machine: a real server to test against.

Run: ``python tests/servers/swift.py [FOLDER]``. As soon as the server answers it prints
one line of JSON, the environment a client needs, and it ends when its standard input
does, which a parent that dies closes. Objects lie in FOLDER, by default in memory.

Swift comes from the package registry, once, into a virtual environment of its own under
the user's cache folder. Where that cannot be, the line is ``{"missing": REASON}``.
"""

import contextlib
import fcntl
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

REQUIREMENT = "swift~=2.38.3"
ACCESS_KEY, SECRET_KEY, REGION = "test:tester", "secret-of-tests", "us-east-1"
STARTS, START_SECONDS = 3, 60.0
MEMORY = Path("/dev/shm")
STORES = ("object", "container", "account")

RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *ports = sys.argv[1:]
for name, port in zip(("object", "container", "account"), map(int, ports)):
    builder = RingBuilder(4, 1, 1)
    place = dict(region=1, zone=1, ip="127.0.0.1", port=port, device="d1", weight=1.0)
    builder.add_dev(place)
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{name}.ring.gz")
"""

SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
"""

STORE = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth \
slo dlo symlink versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = {region}
multi_delete_concurrency = 16
[filter:tempauth]
use = egg:swift#tempauth
user_{account} = {secret} .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""

PLAIN_FILTERS = (
    *("catch_errors", "gatekeeper", "healthcheck", "listing_formats"),
    *("bulk", "slo", "dlo", "symlink"),
)

CLUSTER = """
[swift-hash]
swift_hash_path_suffix = tests
[storage-policy:0]
name = one
default = yes
"""


def installed() -> Path:
    """Return the programs' folder of Swift's environment, made on first use.

    Raises:
        OSError: the registry does not give it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = REQUIREMENT.partition("=")[2]
    place = cache / "diffsmooth-tests"
    made = place / f"swift-{version}-py{sys.version_info[0]}.{sys.version_info[1]}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "complete").exists():
            shutil.rmtree(made, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(made))
            _run(str(made / "bin" / "pip"), "install", "--quiet", REQUIREMENT)
            (made / "complete").touch()
    return made / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)} ends with: {done.stderr[-500:]}")


def keeps_attributes(folder: Path) -> bool:
    """Return whether files of a folder can have the attributes Swift writes."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.swift", b"1")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def running(programs: Path, folder: Path) -> Iterator[str]:
    """Run the four servers of a cluster with one device; yields the endpoint.

    Args:
        programs: what :func:`installed` returns.
        folder: empty; holds configuration, log and objects.
    """
    (folder / "devices" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(CLUSTER)
    for _ in range(STARTS):  # another process may take a port that was free
        ports = _free_ports(1 + len(STORES))
        _configure(programs, folder, ports)
        with _started(programs, folder) as servers:
            endpoint = f"http://127.0.0.1:{ports[-1]}"
            if _answers(endpoint, servers):
                yield endpoint
                return
    log = (folder / "log").read_text()[-2000:]
    raise OSError(f"Swift did not start in {STARTS} tries; its log ends: {log}")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _configure(programs: Path, folder: Path, ports: Sequence[int]) -> None:
    *store_ports, proxy_port = ports
    words = [RINGS, str(folder), *map(str, store_ports)]
    _run(str(programs / "python"), "-c", *words)
    facts = {"user": getpass.getuser(), "folder": folder}
    for name, port in zip(STORES, store_ports, strict=True):
        text = SERVER.format(port=port, **facts) + STORE.format(name=name)
        (folder / f"{name}.conf").write_text(text)
    filters = [f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN_FILTERS]
    account = ACCESS_KEY.replace(":", "_")
    proxy = PROXY.format(region=REGION, account=account, secret=SECRET_KEY)
    text = SERVER.format(port=proxy_port, **facts) + proxy + "".join(filters)
    (folder / "proxy.conf").write_text(text)


@contextlib.contextmanager
def _started(programs: Path, folder: Path) -> Iterator[list[subprocess.Popen]]:
    with (folder / "log").open("ab") as log:
        servers = [
            subprocess.Popen(
                [programs / f"swift-{name}-server", folder / f"{name}.conf"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            for name in (*STORES, "proxy")
        ]
    try:
        yield servers
    finally:
        for server in servers:
            server.kill()
        for server in servers:
            server.wait()


def _answers(endpoint: str, servers: Sequence[subprocess.Popen]) -> bool:
    """Wait until the proxy answers; return whether it does while all servers live."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(server.poll() is not None for server in servers):
            return False
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{endpoint}/healthcheck", timeout=5).close()
            return True
        time.sleep(0.1)
    return False


def environment(endpoint: str) -> dict[str, str]:
    """Return what a client of the server needs in its environment."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
    }


def main() -> None:
    """Serve until the standard input ends."""
    for end in (signal.SIGTERM, signal.SIGINT):
        signal.signal(end, lambda *_: sys.exit(1))
    above = Path(sys.argv[1]) if sys.argv[1:] else MEMORY
    if not keeps_attributes(above):
        above = Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix="swift-", dir=above) as folder:
        try:
            programs = installed()
        except OSError as error:
            sys.stdout.write(json.dumps({"missing": str(error)}) + "\n")
            return
        with running(programs, Path(folder)) as endpoint:
            sys.stdout.write(json.dumps(environment(endpoint)) + "\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
