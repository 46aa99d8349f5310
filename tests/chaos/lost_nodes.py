"""Faults of whole nodes: one is lost, with or without a replacement, or cut off."""

import time
from dataclasses import replace

import nodes
from ground import Case, Ground
from outcomes import Outcome

SMALL_UNITS = ("stages.fused.actors=null", "stages.unit_votes=40")
"""As many actors as the cluster has GPUs."""


def node_lost(ground: Ground, plan: str) -> Outcome:
    """A node is lost in the middle of a unit; one GPU is left."""
    return _node_lost(ground, plan, replaced=False)


def node_replaced(ground: Ground, plan: str) -> Outcome:
    """A node is lost in the middle of a unit, and another one joins."""
    return _node_lost(ground, plan, replaced=True)


def _node_lost(ground: Ground, plan: str, *, replaced: bool) -> Outcome:
    name = "node_replaced" if replaced else "node_lost"
    with nodes.side_by_side() as cluster:
        case = _case(replace(ground, address=cluster.address), name, plan)
        with case.voting() as driver:
            victim = case.next_line("block")
            nodes.remove(cluster, victim.node)
            if replaced:
                nodes.add_gpu_node(cluster)
            status, left = case.ended(driver)
    return case.outcome(
        "node lost, replaced" if replaced else "node lost for good",
        "one of two GPU nodes removed hard",
        seconds_to_continue=case.seconds_to_continue(victim.moment),
        status=status,
        left=left,
    )


def node_cut_off(ground: Ground, plan: str) -> Outcome:
    """A node loses its network for longer than the head waits, then has it again."""
    with nodes.archipelago() as cluster:
        case = _case(replace(ground, address=cluster.address), "node_cut_off", plan)
        with case.voting() as driver:
            victim = case.next_line("block")
            island = cluster.island_of(victim.pid)
            island.cut()
            time.sleep(nodes.CUT_SECONDS)
            island.join()
            status, left = case.ended(driver)
    return case.outcome(
        "node cut off, then back",
        f"network down for {nodes.CUT_SECONDS:.0f} s",
        seconds_to_continue=case.seconds_to_continue(victim.moment),
        status=status,
        left=left,
    )


def _case(ground: Ground, name: str, plan: str) -> Case:
    case = ground.case(name, plan, block_seconds=0.5, logical_gpus=True)
    return replace(case, settings=SMALL_UNITS)
