"""Quality of our H.264 (SSIM over all planes against the source), against that of ffmpeg with the same settings."""

import json
import re
from pathlib import Path

import clip
import x264
from caller import Caller
from measure import Row, beside
from service import embedded

SUMMARY = "SSIM of our H.264, against that of ffmpeg with the same settings"
SECONDS = 8
# An explicit CRF forces a transcode.
RECIPE = {"outputs": [{"kind": "mp4", "video": {"crf": 23}}]}


def run() -> list[Row]:
    source = clip.moving(1280, 720, SECONDS)
    with embedded(RUSHES_WORKERS="1") as service:
        caller, ours, peer = Caller(service), service.directory / "ours.mp4", service.directory / "peer.mp4"
        task = caller.processed(caller.upload(source, recipe=json.dumps(RECIPE)), every_ms=100)
        caller.fetch(task, ours)
        clip.ffmpeg("-i", source, "-an", *x264.options(x264.settings(task["report"]["outputs"][0])), peer)
        scores = [ssim(output, source) for output in (ours, peer)]
        bytes_ = [task["report"]["outputs"][0]["bytes"], peer.stat().st_size]
    exact = "; ".join(f"{name} {value:.4f}" for name, value in zip(("ours", "ffmpeg"), scores))
    detail = f"{exact}; {SECONDS} s of 720p, {bytes_[0]:,} bytes with audio, {bytes_[1]:,} without"
    return [beside("quality", *scores, "SSIM", at_least=0.999, detail=detail)]


def ssim(output: Path, source: Path) -> float:
    """SSIM; 1 for identical frames (Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, 2004)."""
    log = clip.ffmpeg("-i", output, "-i", source, "-lavfi", "[0:v][1:v]ssim", "-f", "null", "-")
    return float(re.search(r"SSIM .*All:([\d.]+)", log)[1])
