"""Clips generated with the ffmpeg command line and cached in bench/.cache."""

import json
import os
import subprocess
from pathlib import Path

from scratch import CACHE

GIB = 1 << 30
SHORT_S, LONG_S = 12, 360


def moving(width: int, height: int, seconds: float, fps: int = 30) -> Path:
    """H.264 and AAC: a moving test pattern with noise, so that encoding is not trivial, and a tone."""
    path = CACHE / f"clip-{width}x{height}-{seconds}s-{fps}fps.mp4"
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        draft = path.with_suffix(".draft.mp4")
        video = f"testsrc2=size={width}x{height}:rate={fps},noise=all_seed=1:alls=3:allf=t"
        sources = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
        encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", 20, "-g", fps * 2, "-pix_fmt", "yuv420p", "-c:a", "aac"]
        ffmpeg(*sources, "-t", seconds, *encode, "-movflags", "+faststart", draft)
        draft.rename(path)
    return path


def long_clip(width: int, height: int) -> Path:
    """Six minutes of H.264 and AAC at the bitrate of web video: a looped `moving` clip and one tone."""
    path = CACHE / f"long-{width}x{height}.mp4"
    if not path.exists():
        loop, draft = path.with_suffix(".loop.mp4"), path.with_suffix(".draft.mp4")
        encode = ["-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", 28, "-g", 60, "-pix_fmt", "yuv420p"]
        ffmpeg("-i", moving(width, height, SHORT_S), *encode, loop)
        sources = ["-stream_loop", LONG_S // SHORT_S - 1, "-i", loop, "-f", "lavfi", "-i", "sine=sample_rate=48000"]
        join = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-t", LONG_S, "-movflags", "+faststart"]
        ffmpeg(*sources, *join, draft)
        loop.unlink()
        draft.rename(path)
    return path


def padded(clip: Path, bytes_: int) -> Path:
    """The clip with a `free` box after it, so that the file has this size. The box is a hole in a sparse file."""
    path = CACHE / f"{clip.stem}-padded-{bytes_}.mp4"
    if not path.exists():
        draft = path.with_suffix(".draft")
        media = clip.read_bytes()
        size = bytes_ - len(media)
        with open(draft, "wb") as file:
            # A box of 64-bit size (ISO/IEC 14496-12 §4.2).
            file.write(media + (1).to_bytes(4, "big") + b"free" + size.to_bytes(8, "big"))
            file.truncate(bytes_)
        os.rename(draft, path)
    return path


def ffmpeg(*arguments) -> str:
    """Runs ffmpeg and returns its standard error."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"ffmpeg failed: {done.stderr[-2000:]}")
    return done.stderr


def video_of(path: Path) -> dict:
    """Width, height and number of frames of the first video stream."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-of", "json"]
    command += ["-show_entries", "stream=width,height,nb_read_packets", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    stream = json.loads(found)["streams"][0]
    return {"width_px": stream["width"], "height_px": stream["height"], "frames": int(stream["nb_read_packets"])}
