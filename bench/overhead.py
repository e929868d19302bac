"""Everything around the encode of a 5 s 480p clip on the embedded setup: from 201 to `processed`, less the time that the
media child reports for the transcode. What is left is claim, child start, probe, verify, store, settle, and our polling."""

import time
from statistics import median

import clip
from caller import Caller
from measure import Row, alone, listed
from service import embedded

SUMMARY = "everything around the encode of a 5 s 480p clip"
RUNS = 10
SECONDS = 5
# The cut keeps the plan from copying a source that is H.264 already.
RECIPE = f'{{"trim": {{"end": {SECONDS}}}, "outputs": [{{"kind": "mp4"}}]}}'


def run() -> list[Row]:
    source = clip.moving(854, 480, SECONDS + 1)
    around = []
    with embedded() as service:
        caller = Caller(service)
        for _ in range(RUNS):
            task = caller.upload(source, recipe=RECIPE)
            begun = time.perf_counter()
            seen = caller.processed(task, every_ms=5)
            took_ms = (time.perf_counter() - begun) * 1000
            around.append(took_ms - seen["report"]["wall_ms"])
    detail = f"median of {RUNS}: {listed(around, 'ms')}"
    return [alone("overhead", median(around), "ms", at_most=150, detail=detail)]
