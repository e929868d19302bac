"""Our media child beside the `ffmpeg` command line: what the same work cost each of them, run in turns.

Of our child the time of the work counts that its report tells, of the command line the time after its start (`-benchmark`):
for both without the start of a process. The command line has then looked into its source, our child does so once more.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import clip
from caller import Caller
from measure import Row, in_turns, listed


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of processors."""

    wall: float
    cpu: float


def ours(caller: Caller, source: Path, recipe: dict) -> tuple[Cost, dict]:
    """What a task cost, and the task; it is deleted. The report tells the cost: who asks often would only take the processor
    from the child, which the command line has to itself."""
    id_ = caller.upload(source, recipe=json.dumps(recipe))
    task = caller.processed(id_, every_ms=500)
    caller.delete(id_)
    return cost_of(task["report"]), task


def cost_of(report: dict) -> Cost:
    return Cost(report["wall_ms"] / 1000, report["cpu_ms"] / 1000)


def ffmpeg(*arguments) -> Cost:
    said = clip.ffmpeg("-benchmark", *arguments)
    user, system, wall = map(float, re.search(r"bench: utime=([\d.]+)s stime=([\d.]+)s rtime=([\d.]+)s", said).groups())
    return Cost(wall, user + system)


def same_length(output: dict, made: Path) -> None:
    """Both made as many frames, but for one at the end."""
    frames = clip.picture_of(made)["frames"]
    if abs(frames - output["frames"]) > 1:
        raise RuntimeError(f"the command line made {frames} frames, we {output['frames']}")


def row(name: str, kind: str, mine: list[Cost], peers: list[Cost], at_most: float) -> Row:
    """The ratio of `wall` or `cpu`."""
    ours_s, peers_s = ([getattr(cost, kind) for cost in costs] for costs in (mine, peers))
    detail = f"medians of {len(mine)}: ours {listed(ours_s, 's')}; ffmpeg {listed(peers_s, 's')}"
    return in_turns(name, ours_s, peers_s, "s", at_most=at_most, detail=detail)
