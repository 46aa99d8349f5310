"""One small Ray cluster, for the tests that ask for it by name."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    import ray

    from infra.cluster import start

    started = start(None)
    yield
    if started:
        ray.shutdown()
