"""Size: the files that are unzipped into an execution environment before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.artifacts import SHIPPED, megabytes
from benchmarks.report import Section, Target

if TYPE_CHECKING:
    from benchmarks.artifacts import Artifacts


def section(artifacts: Artifacts) -> Section:
    """Measure the layer and the baseline's bundle."""
    layer, baseline = megabytes(artifacts.layer), megabytes(artifacts.baseline_bundle(SHIPPED))
    bytecode = sum(file.stat().st_size for file in artifacts.layer.rglob("*.pyc")) / 1e6
    return Section(
        title="Size unzipped",
        notes=[*artifacts.notes, "The layer has bytecode. The baseline's bundle as shipped has none."],
        head=("", "MB", "of which bytecode"),
        rows=[
            ["layer", f"{layer:.1f}", f"{bytecode:.1f}"],
            ["baseline", f"{baseline:.1f}", "0.0"],
        ],
        targets=[Target("MB of the layer", layer, 25)],
        numbers={"layer_mb": layer, "layer_bytecode_mb": bytecode, "baseline_mb": baseline},
    )
