"""Remux of an MP4 of six minutes whose streams need no encoding. `copy.engine`: the time of the media child, against
`ffmpeg -c copy -movflags +faststart`. `copy.task`: the whole task, from 201 to `processed`, minus the whole command."""

import json
import time
from statistics import median

import clip
import pair
from caller import Caller
from measure import Row, alone, listed
from service import embedded

SUMMARY = "remux of an MP4 without encoding, against ffmpeg -c copy"
RUNS = 7
RECIPE = {"outputs": [{"kind": "mp4"}]}


def run() -> list[Row]:
    source = clip.long_clip(1280, 720)
    ours, peers, overheads = [], [], []
    with embedded() as service:
        caller, output = Caller(service), service.directory / "peer.mp4"
        command = ("-i", source, "-c", "copy", "-movflags", "+faststart", output)
        for _ in range(RUNS):
            cost, task = pair.ours(caller, source, RECIPE)
            if any(step["done"] != "copy" for step in task["report"]["outputs"][0]["steps"]):
                raise RuntimeError(f"packets were not copied: {task['report']['outputs'][0]['steps']}")
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
            overheads.append((whole - (time.perf_counter() - begun)) * 1000)
    detail = f"the whole task minus the whole command, median of {RUNS}: {listed(overheads, 'ms')}"
    return [
        pair.row("copy.engine", "wall", ours, peers, at_most=1.2),
        alone("copy.task", median(overheads), "ms", at_most=150, detail=detail),
    ]
