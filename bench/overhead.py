"""Overhead of a task with a 5 s 480p clip on the embedded setup: the time from 201 to `processed` minus the transcode time
that the media child reports. The rest is claim, child start, probe, verify, store, the final transaction, and polling."""

import time
from statistics import median

import clip
from caller import Caller
from measure import Row, alone, listed
from service import embedded

SUMMARY = "time of a task around the transcode of a 5 s 480p clip"
RUNS = 10
SECONDS = 5
# The trim forces a transcode of the H.264 source, which would be copied otherwise.
RECIPE = f'{{"trim": {{"end": {SECONDS}}}, "outputs": [{{"kind": "mp4"}}]}}'


def run() -> list[Row]:
    source = clip.moving(854, 480, SECONDS + 1)
    overheads = []
    with embedded() as service:
        caller = Caller(service)
        for _ in range(RUNS):
            task = caller.upload(source, recipe=RECIPE)
            begun = time.perf_counter()
            processed = caller.processed(task, every_ms=5)
            took_ms = (time.perf_counter() - begun) * 1000
            overheads.append(took_ms - processed["report"]["wall_ms"])
    detail = f"median of {RUNS}: {listed(overheads, 'ms')}"
    return [alone("overhead", median(overheads), "ms", at_most=60, detail=detail)]
