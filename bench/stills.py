"""A poster and a sprite of a 1080p file of six minutes, each against an `ffmpeg` that decodes keyframes only."""

import clip
import pair
from caller import Caller
from measure import Row
from service import embedded

SUMMARY = "poster and sprite of six minutes of 1080p, against ffmpeg with keyframes only"
RUNS = 5
AT_S, EVERY_S, WIDTH_PX = 36, 10, 160
KEYFRAMES = ["-skip_frame", "nokey"]
POSTER = {"outputs": [{"kind": "poster", "at_ms": AT_S * 1000}]}
SPRITE = {"outputs": [{"kind": "sprite", "every_ms": EVERY_S * 1000, "width_px": WIDTH_PX}]}
SHEETS = f"fps=1/{EVERY_S},scale={WIDTH_PX}:-2,tile=10x10"


def run() -> list[Row]:
    source = clip.long_clip(1920, 1080)
    posters, sprites = ([], []), ([], [])
    with embedded(RUSHES_WORKERS="1") as service:
        caller, home = Caller(service), service.directory
        for _ in range(RUNS):
            posters[0].append(pair.ours(caller, source, POSTER)[0])
            posters[1].append(pair.ffmpeg(*KEYFRAMES, "-ss", AT_S, "-i", source, "-frames:v", 1, home / "peer.jpg"))
            sprites[0].append(pair.ours(caller, source, SPRITE)[0])
            sprites[1].append(pair.ffmpeg(*KEYFRAMES, "-an", "-i", source, "-vf", SHEETS, home / "sheet-%d.jpg"))
    return [
        pair.row("stills.poster", "wall", *posters, at_most=1.1),
        pair.row("stills.sprite", "wall", *sprites, at_most=1.1),
    ]
