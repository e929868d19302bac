"""Results of benchmarks: one row per goal, and the statistics."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

HEADER = f"{'name':18}{'ours':>16}{'peer':>16}{'ratio':>8}   {'goal':16}"


@dataclass(frozen=True)
class Row:
    """One goal: our value, that of the peer, the goal, and if it is met."""

    name: str
    ours: str
    peer: str
    ratio: str
    goal: str
    met: bool
    detail: str

    def line(self) -> str:
        result = "ok" if self.met else "MISSED"
        return f"{self.name:18}{self.ours:>16}{self.peer:>16}{self.ratio:>8}   {self.goal:16}{result}\n    {self.detail}"

    def markdown(self) -> str:
        cells = [self.name, self.ours, self.peer, self.ratio, self.goal, "ok" if self.met else "**MISSED**"]
        return f"| {' | '.join(cells)} |"


def beside(name: str, ours: float, peer: float, unit: str, *, detail: str, ratio=None, at_most=None, at_least=None) -> Row:
    """A goal for the ratio of our value to the peer's, printed with the digits of the goal."""
    ratio = ours / peer if ratio is None else ratio
    digits = max(2, len(str(at_least if at_most is None else at_most).partition(".")[2]))
    goal, met = compare(ratio, at_most, at_least, lambda limit: f"{limit:.{digits}f}")
    return Row(name, amount(ours, unit), amount(peer, unit), f"{ratio:.{digits}f}", goal, met, detail)


def in_turns(name: str, ours: list[float], peers: list[float], unit: str, *, detail: str, **goal) -> Row:
    """A goal for alternating runs: the median of the ratios of neighboring runs, which had the same machine speed."""
    ratio = median(mine / theirs for mine, theirs in zip(ours, peers, strict=True))
    return beside(name, median(ours), median(peers), unit, detail=detail, ratio=ratio, **goal)


def alone(name: str, ours: float, unit: str, *, detail: str, at_most=None, at_least=None) -> Row:
    """A goal for our value alone."""
    goal, met = compare(ours, at_most, at_least, lambda limit: amount(limit, unit))
    return Row(name, amount(ours, unit), "-", "-", goal, met, detail)


def compare(value: float, at_most, at_least, write: Callable[[float], str]) -> tuple[str, bool]:
    if at_most is not None:
        return f"≤ {write(at_most)}", value <= at_most
    return f"≥ {write(at_least)}", value >= at_least


def amount(value: float, unit: str) -> str:
    """A value with about three significant digits."""
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def listed(values: list[float], unit: str) -> str:
    return f"{' '.join(amount(value, '').strip() for value in values)} {unit}"


def percentile(values: list[float], percent: int) -> float:
    """The percentile by nearest rank: of 100 values, the 99th percentile is the second largest."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
