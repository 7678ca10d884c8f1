"""Partition keys that several tables share."""

from __future__ import annotations


def run_partition(org_id: int, key: str) -> str:
    """Return the partition of a run: of its watch, events and checkpoints, or of its subscriptions."""
    return f"run#{org_id}#{key}"


def run_of(partition: str) -> tuple[int, str]:
    """Return the organization and the key of the run that a partition belongs to."""
    _, org_id, key = partition.split("#", 2)
    return int(org_id), key
