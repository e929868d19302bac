"""Three H.264 outputs of different sizes from one 1080p source, with a single decode. Against one `ffmpeg` with the filter
`split`, and against three sequential runs of `ffmpeg`, all with the same encoder settings."""

from pathlib import Path

import clip
import pair
import x264
from caller import Caller
from measure import Row
from service import embedded

SUMMARY = "three sizes from one source, against one ffmpeg with split and against three runs"
RUNS = 5
SECONDS = 8
HEIGHTS = (720, 480, 360)
RECIPE = {
    "audio": {"mode": "drop"},
    "outputs": [{"kind": "mp4", "max_height_px": height} for height in HEIGHTS],
}


def run() -> list[Row]:
    source = clip.moving(1920, 1080, SECONDS)
    ours, split, apart = [], [], []
    with embedded(RUSHES_WORKERS="1") as service:
        caller = Caller(service)
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            ours.append(cost)
            outputs = task["report"]["outputs"]
            split.append(in_one_run(source, outputs, service.directory))
            apart.append(in_three_runs(source, outputs, service.directory))
    return [
        pair.row("rungs.split", "wall", ours, split, at_most=1.0),
        pair.row("rungs.apart", "wall", ours, apart, at_most=0.8),
    ]


def in_one_run(source: Path, outputs: list[dict], directory: Path) -> pair.Cost:
    labels = [f"[s{index}]" for index in range(len(outputs))]
    scales = [f"{label}{scale(output)}{label.replace('s', 'v')}" for label, output in zip(labels, outputs)]
    graph = ";".join([f"[0:v]split={len(outputs)}{''.join(labels)}", *scales])
    files = [directory / f"split-{index}.mp4" for index in range(len(outputs))]
    each = zip(labels, outputs, files)
    options = [part for label, output, file in each for part in ["-map", label.replace("s", "v"), *encoding(output), file]]
    cost = pair.ffmpeg("-i", source, "-filter_complex", graph, *options)
    for output, file in zip(outputs, files):
        pair.same_length(output, file)
    return cost


def in_three_runs(source: Path, outputs: list[dict], directory: Path) -> pair.Cost:
    file = directory / "apart.mp4"
    costs = [pair.ffmpeg("-i", source, "-an", "-vf", scale(output), *encoding(output), file) for output in outputs]
    return pair.Cost(sum(cost.wall for cost in costs), sum(cost.cpu for cost in costs))


def scale(output: dict) -> str:
    canvas = x264.settings(output)["picture"]["canvas"]
    return f"scale={canvas['width_px']}:{canvas['height_px']}"


def encoding(output: dict) -> list:
    return [*x264.options(x264.settings(output)), "-movflags", "+faststart"]
