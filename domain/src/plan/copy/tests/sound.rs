//! The same for sound: beside pictures that are copied or encoded, and alone.

use super::{MP4, decision, planned, right, with_audio};
use crate::probe::Probe;

#[test]
fn sound_is_copied_unless_something_speaks_against_it() {
    let crf = r#"{"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#;
    let m4a = r#"{"outputs":[{"kind":"audio"}]}"#;
    let hls = r#"{"outputs":[{"kind":"hls","ladder":[720]}]}"#;
    let mut ac3 = right();
    ac3.streams[1].codec = "ac3".into();
    let transport = Probe {
        container: "mpegts".into(),
        ..right()
    };
    for (json, probe, expected) in [
        (MP4, right(), "copy"),
        (crf, right(), "copy"),
        (m4a, right(), "copy"),
        (
            r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"mp4"}]}"#,
            right(),
            "copy",
        ),
        (MP4, ac3, "ac3 is not aac"),
        (
            MP4,
            with_audio(|facts| facts.plain = false),
            "this aac is of a kind that not every player takes",
        ),
        (MP4, with_audio(|facts| facts.channels = 6), "6 channels become 2"),
        (m4a, transport, "times in mpegts are not reliable"),
        (MP4, with_audio(|facts| facts.duration_us = Some(25_000_000)), "copy"),
        (MP4, with_audio(|facts| facts.start_us = 400_000), "copy"),
        (hls, right(), "copy"),
        (
            hls,
            with_audio(|facts| facts.duration_us = Some(15_000_000)),
            "it ends before or after the pictures",
        ),
        (
            hls,
            with_audio(|facts| facts.start_us = 400_000),
            "it begins after the pictures",
        ),
        (MP4, with_audio(|facts| facts.duration_us = None), "copy"),
        (
            crf,
            with_audio(|facts| facts.duration_us = None),
            "it is not known to end with the pictures",
        ),
    ] {
        assert_eq!(decision(&planned(json, &probe), "audio"), expected, "{json}");
    }
}

#[test]
fn sound_is_copied_unless_the_wish_needs_another() {
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
            "a trim of sound alone is exact",
        ),
    ] {
        assert_eq!(decision(&planned(json, &right()), "audio"), expected, "{json}");
    }
}
