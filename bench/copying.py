"""An MP4 of six minutes that is already what was asked: its packets go into a new file. The work of our child beside that of
`ffmpeg -c copy -movflags +faststart`, and the whole task, from 201 to `processed`, beside the whole command."""

import json
import time
from statistics import median

import clip
import pair
from caller import Caller
from measure import Row, alone, listed
from service import embedded

SUMMARY = "an mp4 that is already right, beside ffmpeg -c copy"
RUNS = 7
RECIPE = {"outputs": [{"kind": "mp4"}]}


def run() -> list[Row]:
    source = clip.film(1280, 720)
    ours, peers, around = [], [], []
    with embedded() as service:
        caller, made = Caller(service), service.directory / "peer.mp4"
        command = ("-i", source, "-c", "copy", "-movflags", "+faststart", made)
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            if any(step["done"] != "copy" for step in task["report"]["outputs"][0]["steps"]):
                raise RuntimeError(f"it was not copied: {task['report']['outputs'][0]['steps']}")
            ours.append(cost)
            peers.append(pair.ffmpeg(*command))
        for _ in range(RUNS):
            task = caller.upload(source, recipe=json.dumps(RECIPE))
            begun = time.perf_counter()
            caller.processed(task, every_ms=5)
            whole = time.perf_counter() - begun
            caller.delete(task)
            begun = time.perf_counter()
            clip.ffmpeg(*command)
            around.append((whole - (time.perf_counter() - begun)) * 1000)
    detail = f"the whole task less the whole command, median of {RUNS}: {listed(around, 'ms')}"
    return [
        pair.row("copy.engine", "wall", ours, peers, at_most=1.2),
        alone("copy.task", median(around), "ms", at_most=150, detail=detail),
    ]
