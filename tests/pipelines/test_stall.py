import pytest

from pipelines.stall import STALL_SECONDS, Stall
from pipelines.unit_tracker import Attempt, News

QUIET = News((), (), 0, {})


class Cluster:
    """Nodes that come and go, and time that passes."""

    def __init__(self) -> None:
        self.nodes = frozenset({"a", "b"})
        self.now = 0.0
        self.room = True

    def stall(self) -> Stall:
        return Stall(lambda: self.nodes, lambda: self.room, clock=lambda: self.now)


@pytest.fixture
def nodes() -> Cluster:
    return Cluster()


def test_whoever_lost_no_node_may_take_its_time(nodes: Cluster) -> None:
    stall = nodes.stall()
    nodes.now = 10 * STALL_SECONDS

    assert not stall.noticed(QUIET)


def test_a_lost_node_and_then_silence_is_a_stall(nodes: Cluster) -> None:
    stall = nodes.stall()
    nodes.now = 100.0
    assert not stall.noticed(QUIET)
    nodes.nodes = frozenset({"a", "c"})
    nodes.now += STALL_SECONDS - 1
    assert not stall.noticed(QUIET)

    nodes.now += 1

    assert stall.noticed(QUIET)


@pytest.mark.parametrize(
    ("news", "moves"),
    [
        (News(("file",), (), 0, {}), True),
        (News((), (Attempt("fused", ("x",), "a", 1, 0.0),), 0, {}), True),
        (News((), (Attempt("fused", ("x",), "b", 1, 0.0),), 0, {}), False),
    ],
)
def test_votes_and_calls_on_living_nodes_are_no_silence(
    nodes: Cluster, news: News, moves: bool
) -> None:
    stall = nodes.stall()
    nodes.nodes = frozenset({"a"})
    nodes.now = STALL_SECONDS

    assert stall.noticed(news) is not moves

    nodes.now += STALL_SECONDS - 1
    assert stall.noticed(QUIET) is not moves


def test_a_cluster_without_room_is_waited_for(nodes: Cluster) -> None:
    stall = nodes.stall()
    nodes.nodes, nodes.room, nodes.now = frozenset(), False, STALL_SECONDS
    assert not stall.noticed(QUIET)

    nodes.room = True

    assert stall.noticed(QUIET)
