"""The options of libx264 for the command line that stand for what a report says of our encoder."""

# As in the table of media/src/engine/encode/video_settings.rs.
PRESETS = {"fastest": "ultrafast", "fast": "veryfast", "balanced": "fast", "good": "slow", "best": "veryslow"}


def order(output: dict) -> dict:
    """What the encoder of a movie in a report was told."""
    return output["encoder"]["movie"]["video"]["encode"]


def preset(order: dict) -> str:
    return PRESETS[order["speed"]]


def options(order: dict) -> list:
    """For `ffmpeg`; threads are left to x264, which takes one and a half a core as we do when one task has the machine."""
    quality = ["-preset", preset(order), "-crf", order["crf"], "-profile:v", "high"]
    return ["-c:v", "libx264", *quality, "-g", order["gop_frames"], "-flags", "+cgop", "-pix_fmt", "yuv420p"]


def sound(output: dict) -> list:
    """For the sound beside it."""
    return ["-c:a", "aac", "-b:a", output["encoder"]["movie"]["audio"]["encode"]["bitrate_bps"]]
