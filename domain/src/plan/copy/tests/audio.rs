//! Copies of audio: beside copied and encoded video, and in audio files.

use super::{MP4, copyable, decision, planned, with_audio};
use crate::probe::Probe;

#[test]
fn audio_is_copied_unless_the_source_does_not_fit() {
    let crf = r#"{"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#;
    let m4a = r#"{"outputs":[{"kind":"audio"}]}"#;
    let hls = r#"{"outputs":[{"kind":"hls","ladder":[720]}]}"#;
    let mut ac3 = copyable();
    ac3.streams[1].codec = "ac3".into();
    let mpeg_ts = Probe {
        container: "mpegts".into(),
        ..copyable()
    };
    for (json, probe, expected) in [
        (MP4, copyable(), "copy"),
        (crf, copyable(), "copy"),
        (m4a, copyable(), "copy"),
        (
            r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"mp4"}]}"#,
            copyable(),
            "copy",
        ),
        (MP4, ac3, "ac3 is not aac"),
        (
            MP4,
            with_audio(|facts| facts.plain = false),
            "not every player supports this kind of aac",
        ),
        (MP4, with_audio(|facts| facts.channels = 6), "6 channels become 2"),
        (m4a, mpeg_ts, "timestamps in mpegts are not reliable"),
        (MP4, with_audio(|facts| facts.duration_us = Some(25_000_000)), "copy"),
        (MP4, with_audio(|facts| facts.start_us = 400_000), "copy"),
        (hls, copyable(), "copy"),
        (
            hls,
            with_audio(|facts| facts.duration_us = Some(15_000_000)),
            "it ends before or after the video",
        ),
        (
            hls,
            with_audio(|facts| facts.start_us = 400_000),
            "it begins after the video",
        ),
        (MP4, with_audio(|facts| facts.duration_us = None), "copy"),
        (
            crf,
            with_audio(|facts| facts.duration_us = None),
            "it is not known to end with the video",
        ),
    ] {
        assert_eq!(decision(&planned(json, &probe), "audio"), expected, "{json}");
    }
}

#[test]
fn audio_is_copied_unless_the_recipe_changes_it() {
    for (json, expected) in [
        (
            r#"{"outputs":[{"kind":"mp4","audio":{"bitrate_bps":96000}}]}"#,
            "the recipe sets its bit rate",
        ),
        (
            r#"{"audio":{"mode":"normalize"},"outputs":[{"kind":"mp4"}]}"#,
            "its loudness is normalized",
        ),
        (
            r#"{"trim":{"start":3},"outputs":[{"kind":"mp4"}]}"#,
            "the trim is exact",
        ),
        (
            r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#,
            "the trim is exact",
        ),
        (
            r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"audio"}]}"#,
            "a trim of an audio file is exact",
        ),
    ] {
        assert_eq!(decision(&planned(json, &copyable()), "audio"), expected, "{json}");
    }
}
