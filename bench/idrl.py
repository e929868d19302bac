"""The preset `idrl` end to end, from 201 to `processed`, against moviepy 1.0.3 making the same picture of the same clip.

moviepy encodes with the same FFmpeg, x264 preset, quality and number of cores; its imports and the start of Python are not counted.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import clip
import x264
from caller import Caller
from measure import Row, in_turns, listed
from scratch import CACHE, ROOT
from service import Service, embedded

SUMMARY = "the preset idrl end to end, beside moviepy 1.0.3"
PEERS = ROOT / "bench" / "peers"
RUNS = 5
FRAMES = 480  # 20 s at 24 fps


def run() -> list[Row]:
    source = clip.moving(480, 270, 30)
    python = python_with_moviepy()
    ours, peers = [], []
    with embedded() as service:
        caller = Caller(service)
        for _ in range(RUNS):
            took, order = ours_once(caller, service, source)
            ours.append(took)
            peers.append(moviepy_once(python, service.directory, source, x264.preset(order)))
    detail = f"medians of {RUNS}: ours {listed(ours, 's')}; moviepy {listed(peers, 's')}"
    return [in_turns("idrl", ours, peers, "s", at_most=0.6, detail=detail)]


def ours_once(caller: Caller, service: Service, source: Path) -> tuple[float, dict]:
    """The seconds it took, and the orders of the encoder."""
    task = caller.upload(source, preset="idrl")
    begun = time.perf_counter()
    seen = caller.processed(task, every_ms=20)
    took = time.perf_counter() - begun
    made = service.directory / "ours.mp4"
    caller.fetch(seen, made)
    check(made)
    return took, x264.order(seen["report"]["outputs"][0])


def moviepy_once(python: Path, directory: Path, source: Path, preset: str) -> float:
    made = directory / "moviepy.mp4"
    threads = len(os.sched_getaffinity(0))
    command = [python, PEERS / "idrl_by_moviepy.py", source, ROOT / "media/assets/logo.png", made, threads, preset]
    ffmpeg = {"FFMPEG_BINARY": shutil.which("ffmpeg"), "IMAGEIO_FFMPEG_EXE": shutil.which("ffmpeg")}
    done = subprocess.run(
        map(str, command), env=os.environ | ffmpeg, cwd=directory, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise RuntimeError(f"moviepy failed: {done.stderr[-2000:]}")
    check(made)
    return float(done.stdout)


def check(made: Path) -> None:
    """The same picture: size and length to the frame."""
    found = clip.picture_of(made)
    if (found["width_px"], found["height_px"]) != (480, 270) or abs(found["frames"] - FRAMES) > 1:
        raise RuntimeError(f"{made.name} is not what idrl promises: {found}")


def python_with_moviepy() -> Path:
    """An interpreter with the pinned packages, made once in bench/.cache."""
    home, wanted = CACHE / "moviepy", (PEERS / "requirements.txt").read_text()
    installed = home / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        print("Installing moviepy into bench/.cache", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=120)
        install = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--use-pep517"]
        install += ["-r", PEERS / "requirements.txt"]
        subprocess.run(install, check=True, timeout=600)
        installed.write_text(wanted)
    return home / "bin/python"
