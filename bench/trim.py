"""Twenty seconds, to the frame, out of a 1080p file of six minutes, beside `ffmpeg -ss … -t …` with the same settings."""

import clip
import pair
import x264
from caller import Caller
from measure import Row
from service import embedded

SUMMARY = "20 s to the frame out of six minutes of 1080p, beside ffmpeg -ss -t"
RUNS = 3
START_S, SECONDS = 201.3, 20  # the start is no keyframe
RECIPE = {"trim": {"start": START_S, "end": START_S + SECONDS}, "outputs": [{"kind": "mp4"}]}


def run() -> list[Row]:
    source = clip.film(1920, 1080)
    ours, peers = [], []
    with embedded(RUSHES_WORKERS="1") as service:
        caller, made = Caller(service), service.directory / "peer.mp4"
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            output = task["report"]["outputs"][0]
            options = [*x264.options(x264.order(output)), *x264.sound(output), "-movflags", "+faststart"]
            ours.append(cost)
            peers.append(pair.ffmpeg("-ss", START_S, "-i", source, "-t", SECONDS, *options, made))
            pair.same_length(output, made)
    return [pair.row("trim", "wall", ours, peers, at_most=1.05)]
