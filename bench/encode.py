"""One H.264 output of a 720p clip: wall and CPU time, against the `ffmpeg` command line with the same settings."""

import clip
import pair
import x264
from caller import Caller
from measure import Row
from service import embedded

SUMMARY = "one H.264 output, against the ffmpeg command line with the same settings"
RUNS = 5
SECONDS = 12
# The trim forces a transcode of the H.264 source, which would be copied otherwise.
RECIPE = {"trim": {"end": SECONDS}, "outputs": [{"kind": "mp4"}]}


def run() -> list[Row]:
    source = clip.moving(1280, 720, SECONDS + 4)
    ours, peers = [], []
    with embedded(RUSHES_WORKERS="1") as service:
        caller, peer_output = Caller(service), service.directory / "peer.mp4"
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            output = task["report"]["outputs"][0]
            options = ["-t", SECONDS, *x264.options(x264.settings(output)), *x264.audio_options(output), "-movflags", "+faststart"]
            ours.append(cost)
            peers.append(pair.ffmpeg("-i", source, *options, peer_output))
            pair.same_length(output, peer_output)
    return [pair.row(f"encode.{kind}", kind, ours, peers, at_most=1.02) for kind in ("wall", "cpu")]
