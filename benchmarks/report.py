"""What a workload reports, and the file that holds the reports of all."""

import re
from dataclasses import dataclass
from typing import Any

from benchmarks.peers import Failure

__all__ = ["Ratio", "Report", "entered"]

HEAD = """## Ratios

Every figure that has a peer's beside it, taken in the same run on the same problem, or published where it says so. Above one,
bayesastro is better; `less` marks quantities of which less is better. The sections below say what was done, when, and on which
machine: compare figures of a section with each other only.

| workload | quantity | bayesastro | peer | its figure | ratio | date |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A quantity, ours beside a peer's.

    Parameters
    ----------
    quantity : str
        What was measured, of which problem, with its unit.
    ours : float
    peer : str
        Name and version, as a :class:`benchmarks.peers.Peer` writes itself.
    theirs : float or Failure
        In the same unit; or why there is none.
    less_is_better : bool
    """

    quantity: str
    ours: float
    peer: Any
    theirs: float | Failure
    less_is_better: bool = False

    @property
    def value(self) -> float | Failure:
        """Above one, ours is better."""
        if isinstance(self.theirs, Failure):
            return Failure("–")
        return self.theirs / self.ours if self.less_is_better else self.ours / self.theirs

    def row(self, title: str, date: str) -> str:
        """Of the table of ratios."""
        quantity = f"{self.quantity} (less)" if self.less_is_better else self.quantity
        cells = title, quantity, _figure(self.ours), str(self.peer), _figure(self.theirs), f"{self.value:.2f}", date
        return f"| {' | '.join(cells)} |"


def _figure(value: float | Failure) -> str:
    """Three digits, without an exponent where that is readable."""
    if isinstance(value, Failure) or not 1e-4 < abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):,.10g}"


@dataclass(frozen=True)
class Report:
    """Text of a workload, in Markdown, and its ratios."""

    text: str
    ratios: tuple[Ratio, ...] = ()


def entered(document: str, title: str, section: str, rows: list[str], machine: str) -> str:
    """The file's text with a workload's section and rows of ratios, in place of those that it had; all others stay.

    An empty `document` begins a new one. The `machine` of the last entry stands at the top.
    """
    _, ratios, *others = re.split(r"(?m)^(?=## )", document or "\n" + HEAD)
    sections = {text.partition("\n")[0].removeprefix("## "): text.rstrip() for text in others}
    sections[title] = f"## {title}\n\n{section.strip()}"
    table = ratios.rstrip().splitlines()
    start = table.index("|---|---|---|---|---|---|---|") + 1
    kept = [row for row in table[start:] if not row.startswith(f"| {title} |")] + rows
    order = {f"| {name} |": place for place, name in enumerate(sections)}
    kept.sort(key=lambda row: next(place for start, place in order.items() if row.startswith(start)))
    head = f"# Benchmarks\n\nLast entry: {machine}"
    return "\n\n".join([head, "\n".join(table[:start] + kept), *sections.values()]) + "\n"
