"""Tasks per second when each copies a clip of a fifth of a second, two at a time on SQLite: the cost of a task apart from its
media. The peer is `ffmpeg -c copy` and then `ffprobe` of the result, two at a time."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import clip
from caller import Caller
from measure import Row, amount, compare
from scratch import directory
from service import part

SUMMARY = "tasks per second that copy a tiny clip, against ffmpeg and ffprobe"
TASKS = 120
AT_ONCE = 2
RECIPE = '{"outputs": [{"kind": "mp4"}]}'


def run() -> list[Row]:
    source = clip.moving(160, 90, 0.2)
    with directory() as home:
        ours, peer = ours_per_second(source, home), peer_per_second(source, home)
    goal, met = compare(ours, None, 40, lambda limit: amount(limit, "/s"))
    detail = f"{TASKS} tasks, {AT_ONCE} at a time"
    return [Row("small", amount(ours, "/s"), amount(peer, "/s"), f"{ours / peer:.2f}", goal, met, detail)]


def ours_per_second(source: Path, home: Path) -> float:
    """The rate from the start of the first task to the end of the last one. All are uploaded before the worker starts."""
    with part("backend", home, {}) as service:
        caller = Caller(service)
        tasks = [caller.upload(source, recipe=RECIPE) for _ in range(TASKS)]
        with part("worker", home, {"RUSHES_WORKERS": str(AT_ONCE)}):
            done = [caller.processed(task, every_ms=100) for task in tasks]
    began = min(datetime.fromisoformat(task["started_at"]) for task in done)
    ended = max(datetime.fromisoformat(task["finished_at"]) for task in done)
    return TASKS / (ended - began).total_seconds()


def peer_per_second(source: Path, home: Path) -> float:
    def one(number: int) -> None:
        output = home / f"peer-{number}.mp4"
        clip.ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", output)
        command = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", str(output)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = time.perf_counter()
        for _ in pool.map(one, range(TASKS)):
            pass
        return TASKS / (time.perf_counter() - begun)
