"""The options of libx264 for the command line that stand for what a report says of our encoder."""

# As x264_preset in media/src/engine/encode.rs.
PRESETS = {"fastest": "ultrafast", "fast": "veryfast", "balanced": "fast", "good": "slow", "best": "veryslow"}


def preset(encoder: dict) -> str:
    return PRESETS[encoder["speed"]]


def options(encoder: dict) -> list:
    """For `ffmpeg`; threads are left to x264, which takes one and a half a core as we do when one task has the machine."""
    quality = ["-preset", preset(encoder), "-crf", encoder["crf"], "-profile:v", "high"]
    return ["-c:v", "libx264", *quality, "-g", encoder["gop_frames"], "-flags", "+cgop", "-pix_fmt", "yuv420p"]
