"""How like its source our H.264 is (SSIM over all planes), beside that of the command line with the same settings."""

import json
import re
from pathlib import Path

import clip
import x264
from caller import Caller
from measure import Row, beside
from service import embedded

SUMMARY = "likeness of our H.264 to its source (SSIM), beside that of ffmpeg with the same settings"
SECONDS = 8
# To name a quality keeps the plan from copying.
RECIPE = {"outputs": [{"kind": "mp4", "video": {"crf": 23}}]}


def run() -> list[Row]:
    source = clip.moving(1280, 720, SECONDS)
    with embedded(RUSHES_WORKERS="1") as service:
        caller, ours, peer = Caller(service), service.directory / "ours.mp4", service.directory / "peer.mp4"
        task = caller.processed(caller.upload(source, recipe=json.dumps(RECIPE)), every_ms=100)
        caller.fetch(task, ours)
        clip.ffmpeg("-i", source, "-an", *x264.options(x264.order(task["report"]["outputs"][0])), peer)
        likeness = [ssim(made, source) for made in (ours, peer)]
        bytes_ = [task["report"]["outputs"][0]["bytes"], peer.stat().st_size]
    exactly = "; ".join(f"{who} {value:.4f}" for who, value in zip(("ours", "ffmpeg"), likeness))
    detail = f"{exactly}; {SECONDS} s of 720p, {bytes_[0]:,} bytes with sound, {bytes_[1]:,} without"
    return [beside("quality", *likeness, "SSIM", at_least=0.999, detail=detail)]


def ssim(made: Path, source: Path) -> float:
    """1 for the same picture (Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, 2004)."""
    said = clip.ffmpeg("-i", made, "-i", source, "-lavfi", "[0:v][1:v]ssim", "-f", "null", "-")
    return float(re.search(r"SSIM .*All:([\d.]+)", said)[1])
