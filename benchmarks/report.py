"""The report of a measurement: tables for people, targets, and the numbers as JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


@dataclass(frozen=True)
class Pairs:
    """Measurements of both sides in pairs. Those of a pair were taken one after the other, under the same noise."""

    name: str
    ours: list[float]
    baseline: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours divided by the baseline's, smallest first."""
        return sorted(ours / baseline for ours, baseline in zip(self.ours, self.baseline, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    def row(self, mark: str = "") -> list[str]:
        """Return the name with the mark, both medians in ms, and the ratios' minimum, median and maximum."""
        ours, baseline = (f"{statistics.median(side) * 1000:.1f}" for side in (self.ours, self.baseline))
        return [
            self.name + mark,
            ours,
            baseline,
            f"{self.ratios[0]:.2f}",
            f"{self.ratio:.2f}",
            f"{self.ratios[-1]:.2f}",
        ]


PAIRS_HEAD = ("function", "ours ms", "baseline ms", "min", "ratio", "max")


@dataclass(frozen=True)
class Target:
    """A number that should not exceed a limit."""

    name: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """Whether the number does not exceed the limit."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Section:
    """One part of the report. `numbers` must be JSON."""

    title: str
    notes: Sequence[str]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target]
    numbers: Any = field(repr=False)

    def show(self, console: Console) -> None:
        """Print the section."""
        console.print(f"\n[bold]{self.title}[/bold]")
        for note in self.notes:
            console.print(f"  {note}", highlight=False)
        table = Table(*self.head[:1], box=SIMPLE_HEAD)
        for name in self.head[1:]:
            table.add_column(name, justify="right")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for target in self.targets:
            verdict = "[green]met[/green]" if target.met else "[red]MISSED[/red]"
            console.print(f"  {verdict}  {target.name}: {target.value:.2f}, target <= {target.limit}", highlight=False)

    def json(self) -> dict[str, Any]:
        """Return the section for programs."""
        return {
            "notes": list(self.notes),
            "targets": [{**asdict(target), "met": target.met} for target in self.targets],
            "numbers": self.numbers,
        }
