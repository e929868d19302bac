"""One H.264 output of a 720p clip: wall and processor time of our media child, as its report says, against the `ffmpeg`
command line with the same encoder settings.

Of the command line the time after its start counts (`-benchmark`): from the first packet read to the finished file.
"""

import re
from pathlib import Path
from statistics import median

import clip
import x264
from caller import Caller
from measure import Row, beside, listed
from service import embedded

SUMMARY = "one H.264 output, beside the ffmpeg command line with the same settings"
RUNS = 5
SECONDS = 20
# The cut keeps the plan from copying a source that is H.264 already.
RECIPE = f'{{"trim": {{"end": {SECONDS}}}, "outputs": [{{"kind": "mp4"}}]}}'


def run() -> list[Row]:
    source = clip.moving(1280, 720, SECONDS + 4)
    ours, peers = [], []
    with embedded(RUSHES_WORKERS="1") as service:
        caller = Caller(service)
        for _ in range(RUNS):
            report = ours_once(caller, source)
            ours.append((report["wall_ms"] / 1000, report["cpu_ms"] / 1000))
            peers.append(ffmpeg_once(source, report["outputs"][0], service.directory / "peer.mp4"))
    return [row("wall", *by_kind(0, ours, peers)), row("cpu", *by_kind(1, ours, peers))]


def ours_once(caller: Caller, source: Path) -> dict:
    task = caller.upload(source, recipe=RECIPE)
    report = caller.processed(task, every_ms=100)["report"]
    caller.delete(task)
    return report


def ffmpeg_once(source: Path, output: dict, made: Path) -> tuple[float, float]:
    """Wall and processor seconds."""
    encoder = output["encoder"]
    sound = ["-c:a", "aac", "-b:a", encoder["audio_bitrate_bps"]]
    options = ["-t", SECONDS, *x264.options(encoder), *sound, "-movflags", "+faststart"]
    said = clip.ffmpeg("-benchmark", "-i", source, *options, made)
    frames = clip.picture_of(made)["frames"]
    if abs(frames - output["frames"]) > 1:
        raise RuntimeError(f"the command line made {frames} frames, we {output['frames']}")
    user, system, wall = map(float, re.search(r"bench: utime=([\d.]+)s stime=([\d.]+)s rtime=([\d.]+)s", said).groups())
    return wall, user + system


def by_kind(index: int, *both: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return tuple([run[index] for run in runs] for runs in both)


def row(kind: str, ours: list[float], peers: list[float]) -> Row:
    detail = f"medians of {RUNS}: ours {listed(ours, 's')}; ffmpeg {listed(peers, 's')}"
    return beside(f"encode.{kind}", median(ours), median(peers), "s", at_most=1.05, detail=detail)
