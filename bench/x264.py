"""ffmpeg options that correspond to the encoder settings in a report."""

# x264 presets by `video.speed`, as in the table of media/src/engine/encode/video_settings.rs.
PRESETS = {"fastest": "ultrafast", "fast": "veryfast", "balanced": "fast", "good": "slow", "best": "veryslow"}


def settings(output: dict) -> dict:
    """The settings of the video encoder of an output in a report."""
    return output["encoder"]["movie"]["video"]["encode"]


def preset(settings: dict) -> str:
    return PRESETS[settings["speed"]]


def options(settings: dict) -> list:
    """Options of the video encoder. x264 chooses the number of threads, 1.5 per core, like our child with a single task."""
    quality = ["-preset", preset(settings), "-crf", settings["crf"], "-profile:v", "high"]
    return ["-c:v", "libx264", *quality, "-g", settings["gop_frames"], "-flags", "+cgop", "-pix_fmt", "yuv420p"]


def audio_options(output: dict) -> list:
    """Options of the audio encoder."""
    return ["-c:a", "aac", "-b:a", output["encoder"]["movie"]["audio"]["encode"]["bitrate_bps"]]
