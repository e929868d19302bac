"""One H.264 output of a 720p clip: wall and processor time beside the `ffmpeg` command line with the same settings."""

import clip
import pair
import x264
from caller import Caller
from measure import Row
from service import embedded

SUMMARY = "one H.264 output, beside the ffmpeg command line with the same settings"
RUNS = 5
SECONDS = 12
# The cut keeps the plan from copying a source that is H.264 already.
RECIPE = {"trim": {"end": SECONDS}, "outputs": [{"kind": "mp4"}]}


def run() -> list[Row]:
    source = clip.moving(1280, 720, SECONDS + 4)
    ours, peers = [], []
    with embedded(RUSHES_WORKERS="1") as service:
        caller, made = Caller(service), service.directory / "peer.mp4"
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            output = task["report"]["outputs"][0]
            options = ["-t", SECONDS, *x264.options(x264.order(output)), *x264.sound(output), "-movflags", "+faststart"]
            ours.append(cost)
            peers.append(pair.ffmpeg("-i", source, *options, made))
            pair.same_length(output, made)
    return [pair.row(f"encode.{kind}", kind, ours, peers, at_most=1.02) for kind in ("wall", "cpu")]
