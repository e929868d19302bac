"""Costs of the same work in our media child and in the `ffmpeg` command line, which run alternately.

For our child it is the time in its report, for the command line the time of `-benchmark`, both without the start of the
process. The time of the command line does not include the probe of the source; that of our child includes a second one.
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
    """Wall and CPU time in seconds."""

    wall: float
    cpu: float


def ours(caller: Caller, source: Path, recipe: dict) -> tuple[Cost, dict]:
    """Runs a task and deletes it. Returns its cost and the task. The cost is in the report, so the task is polled rarely: polling
    takes CPU time from the child, and the command line has no such competition."""
    id_ = caller.upload(source, recipe=json.dumps(recipe))
    task = caller.processed(id_, every_ms=500)
    caller.delete(id_)
    return cost_of(task["report"]), task


def cost_of(report: dict) -> Cost:
    return Cost(report["wall_ms"] / 1000, report["cpu_ms"] / 1000)


def ffmpeg(*arguments) -> Cost:
    log = clip.ffmpeg("-benchmark", *arguments)
    user, system, wall = map(float, re.search(r"bench: utime=([\d.]+)s stime=([\d.]+)s rtime=([\d.]+)s", log).groups())
    return Cost(wall, user + system)


def same_length(output: dict, peer_output: Path) -> None:
    """Raises an error if the numbers of frames differ by more than one."""
    frames = clip.video_of(peer_output)["frames"]
    if abs(frames - output["frames"]) > 1:
        raise RuntimeError(f"ffmpeg encoded {frames} frames, we {output['frames']}")


def row(name: str, kind: str, mine: list[Cost], peers: list[Cost], at_most: float) -> Row:
    """A row for `wall` or `cpu`."""
    ours_s, peers_s = ([getattr(cost, kind) for cost in costs] for costs in (mine, peers))
    detail = f"medians of {len(mine)}: ours {listed(ours_s, 's')}; ffmpeg {listed(peers_s, 's')}"
    return in_turns(name, ours_s, peers_s, "s", at_most=at_most, detail=detail)
