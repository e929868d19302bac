"""Lag of the library between servers: the time from the reply to a publication at one backend until the video is in the list of
another backend with the same Postgres.

The list is polled without a pause, so the time includes that of one request. The pauses before the publications are random,
so that they do not synchronize with the polling interval of the backend.
"""

import http.client
import json
import random
import time
from statistics import median

import clip
from caller import Caller
from measure import Row, alone, percentile
from service import Service, part, production

PUBLICATIONS = 100
LIMIT_S = 30


def row() -> Row:
    pauses, lags = random.Random(1), []
    with production() as service:
        other_home = service.directory / "other"
        other_home.mkdir()
        with part("backend", other_home, service.settings) as other:
            caller = Caller(service)
            task = caller.upload(clip.moving(160, 90, 1), recipe='{"outputs": [{"kind": "mp4"}]}')
            caller.processed(task, every_ms=50)
            for _ in range(PUBLICATIONS):
                time.sleep(pauses.uniform(0, 0.3))
                video = caller.post(f"/api/tasks/{task}/publish", visibility="public")["id"]
                lags.append(until_listed(other, video, True))
                caller.post(f"/api/videos/{video}/unpublish")
                until_listed(other, video, False)
    detail = f"p99 of {PUBLICATIONS} publications; median {median(lags):.0f} ms, longest {max(lags):.0f} ms"
    return alone("library.lag", percentile(lags, 99), "ms", at_most=1000, detail=detail)


def until_listed(service: Service, video: int, wanted: bool) -> float:
    """Polls the list until the video is in it, or is not; returns the time in ms."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    while time.perf_counter() - begun < LIMIT_S:
        connection.request("GET", "/api/library")
        reply = connection.getresponse()
        text = reply.read()
        # Until the first fill of the catalog it is 503.
        if reply.status == 200 and any(shown["id"] == video for shown in json.loads(text)["data"]) == wanted:
            connection.close()
            return (time.perf_counter() - begun) * 1000
    raise TimeoutError(f"the other backend did not follow within {LIMIT_S} s")
