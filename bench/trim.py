"""A frame-exact trim of 20 s out of a 1080p file of six minutes, against `ffmpeg -ss … -t …` with the same settings."""

import clip
import pair
import x264
from caller import Caller
from measure import Row
from service import embedded

SUMMARY = "frame-exact trim of 20 s out of six minutes of 1080p, against ffmpeg -ss -t"
RUNS = 3
START_S, SECONDS = 201.3, 20  # not a keyframe
RECIPE = {"trim": {"start": START_S, "end": START_S + SECONDS}, "outputs": [{"kind": "mp4"}]}


def run() -> list[Row]:
    source = clip.long_clip(1920, 1080)
    ours, peers = [], []
    with embedded(RUSHES_WORKERS="1") as service:
        caller, peer_output = Caller(service), service.directory / "peer.mp4"
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            output = task["report"]["outputs"][0]
            options = [*x264.options(x264.settings(output)), *x264.audio_options(output), "-movflags", "+faststart"]
            ours.append(cost)
            peers.append(pair.ffmpeg("-ss", START_S, "-i", source, "-t", SECONDS, *options, peer_output))
            pair.same_length(output, peer_output)
    return [pair.row("trim", "wall", ours, peers, at_most=1.05)]
