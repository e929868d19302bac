"""The preset `idrl` end to end, from 201 to `processed`, against moviepy 1.0.3 with the same edits of the same clip.

moviepy encodes with the same FFmpeg, x264 preset, quality and number of threads. The start of Python and imports are not
counted.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import clip
import x264
from caller import Caller
from measure import Row, in_turns, listed
from peer_python import PEERS, python_with
from scratch import ROOT
from service import Service, embedded

SUMMARY = "the preset idrl end to end, against moviepy 1.0.3"
RUNS = 5
FRAMES = 480  # 20 s at 24 fps


def run() -> list[Row]:
    source = clip.moving(480, 270, 30)
    python = python_with("moviepy", "requirements.txt")
    ours, peers = [], []
    with embedded() as service:
        caller = Caller(service)
        for _ in range(RUNS):
            took, settings = ours_once(caller, service, source)
            ours.append(took)
            peers.append(moviepy_once(python, service.directory, source, x264.preset(settings)))
    detail = f"medians of {RUNS}: ours {listed(ours, 's')}; moviepy {listed(peers, 's')}"
    return [in_turns("idrl", ours, peers, "s", at_most=0.6, detail=detail)]


def ours_once(caller: Caller, service: Service, source: Path) -> tuple[float, dict]:
    """Seconds, and the settings of the encoder."""
    id_ = caller.upload(source, preset="idrl")
    begun = time.perf_counter()
    task = caller.processed(id_, every_ms=20)
    took = time.perf_counter() - begun
    output = service.directory / "ours.mp4"
    caller.fetch(task, output)
    check(output)
    return took, x264.settings(task["report"]["outputs"][0])


def moviepy_once(python: Path, directory: Path, source: Path, preset: str) -> float:
    output = directory / "moviepy.mp4"
    threads = len(os.sched_getaffinity(0))
    command = [python, PEERS / "idrl_by_moviepy.py", source, ROOT / "media/assets/logo.png", output, threads, preset]
    ffmpeg = {"FFMPEG_BINARY": shutil.which("ffmpeg"), "IMAGEIO_FFMPEG_EXE": shutil.which("ffmpeg")}
    done = subprocess.run(
        map(str, command), env=os.environ | ffmpeg, cwd=directory, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise RuntimeError(f"moviepy failed: {done.stderr[-2000:]}")
    check(output)
    return float(done.stdout)


def check(output: Path) -> None:
    """Raises an error unless size and number of frames are those of the preset."""
    found = clip.video_of(output)
    if (found["width_px"], found["height_px"]) != (480, 270) or abs(found["frames"] - FRAMES) > 1:
        raise RuntimeError(f"{output.name} has not the size and length of idrl: {found}")
