//! A table for each kind of rule: a recipe and a source, and `copy` or the reason against a copy.

mod adaptive;
mod audio;

use crate::plan::{Clips, CopyPolicy, Plan, StreamAction, plan};
use crate::probe::{AudioFacts, Keyframes, Probe, Stream, StreamKind, VideoFacts};
use crate::{Limits, Rational, Recipe};

fn fps(num: u32, den: u32) -> Option<Rational> {
    Rational::new(num, den)
}

pub(super) fn video() -> VideoFacts {
    VideoFacts {
        width_px: 1280,
        height_px: 720,
        sample_aspect: Rational { num: 1, den: 1 },
        quarter_turns: 0,
        mirrored: false,
        average_fps: fps(30_000, 1_001),
        regular_fps: None,
        base_fps: fps(30_000, 1_001),
        pixel_format: "yuv420p".into(),
        bit_depth: 8,
        hdr: false,
        interlaced: false,
        duration_us: Some(20_000_000),
        start_us: 0,
        frames: None,
        full_range: false,
        bitrate_bps: Some(3_000_000),
        dolby_only: false,
        spatial: None,
        changes: false,
        profile: Some(100),
        level: Some(31),
        keyframes: Some(Keyframes {
            first: true,
            hidden: false,
            closed: true,
            longest_us: 2_000_000,
        }),
    }
}

fn audio() -> AudioFacts {
    AudioFacts {
        sample_rate_hz: 48_000,
        channels: 2,
        duration_us: Some(20_010_000),
        start_us: 0,
        bitrate_bps: Some(128_000),
        plain: true,
    }
}

fn stream(index: usize, codec: &str, kind: StreamKind) -> Stream {
    Stream {
        index,
        codec: codec.into(),
        decodable: true,
        default: true,
        language: None,
        kind,
    }
}

/// A source whose streams can be copied into an MP4.
fn copyable() -> Probe {
    Probe {
        origin_us: None,
        jumps: false,
        container: "mov,mp4,m4a,3gp,3g2,mj2".into(),
        bytes: 8_000_000,
        duration_us: 20_010_000,
        start_us: 0,
        streams: vec![
            stream(0, "h264", StreamKind::Video(video())),
            stream(1, "aac", StreamKind::Audio(audio())),
        ],
    }
}

fn with_video(change: impl Fn(&mut VideoFacts)) -> Probe {
    let mut facts = video();
    change(&mut facts);
    let mut probe = copyable();
    probe.streams[0].kind = StreamKind::Video(facts);
    probe
}

fn with_keyframes(change: impl Fn(&mut Keyframes)) -> Probe {
    with_video(|facts| facts.keyframes.iter_mut().for_each(&change))
}

fn with_audio(change: impl Fn(&mut AudioFacts)) -> Probe {
    let mut facts = audio();
    change(&mut facts);
    let mut probe = copyable();
    probe.streams[1].kind = StreamKind::Audio(facts);
    probe
}

fn planned(json: &str, probe: &Probe) -> Plan {
    planned_with(json, probe, CopyPolicy::default())
}

fn planned_with(json: &str, probe: &Probe, copies: CopyPolicy) -> Plan {
    let recipe: Recipe = serde_json::from_str(json).unwrap();
    plan(&recipe, probe, Clips::default(), &Limits::default(), copies).unwrap()
}

/// Returns `copy`, or the reason against it, for a stream of the first output.
fn decision(plan: &Plan, stream: &str) -> String {
    let mut steps = plan.outputs[0].steps.iter();
    let step = steps.find(|step| step.stream == stream).unwrap();
    match step.action {
        StreamAction::Copy => "copy".to_owned(),
        StreamAction::Transcode => step.reason.clone(),
    }
}

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;

#[test]
fn video_is_copied_unless_the_recipe_changes_it() {
    for (json, expected) in [
        (MP4, "copy"),
        (r#"{"frame":{"fps":"30000/1001"},"outputs":[{"kind":"mp4"}]}"#, "copy"),
        (
            r#"{"frame":{"fps":"30"},"outputs":[{"kind":"mp4"}]}"#,
            "the frame rate is variable or differs from the requested one",
        ),
        (r#"{"frame":{"max_width_px":1280},"outputs":[{"kind":"mp4"}]}"#, "copy"),
        (r#"{"trim":{"start":0},"outputs":[{"kind":"mp4"}]}"#, "copy"),
        (
            r#"{"trim":{"start":3,"end":9,"mode":"fast"},"outputs":[{"kind":"mp4"}]}"#,
            "copy",
        ),
        (
            r#"{"bumper":{"intro_ms":0,"outro_ms":0},"outputs":[{"kind":"mp4"}]}"#,
            "copy",
        ),
        (r#"{"audio":{"mode":"drop"},"outputs":[{"kind":"mp4"}]}"#, "copy"),
        (r#"{"outputs":[{"kind":"mp4","max_width_px":1920}]}"#, "copy"),
        (
            r#"{"trim":{"start":3},"outputs":[{"kind":"mp4"}]}"#,
            "the trim is exact",
        ),
        (
            r#"{"bumper":{"intro_ms":2000},"outputs":[{"kind":"mp4"}]}"#,
            "a bumper is joined to it",
        ),
        (r#"{"outputs":[{"kind":"webm"}]}"#, "h264 is not vp9"),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"crf":23}}]}"#,
            "the recipe sets crf or speed",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","video":{"speed":"fast"}}]}"#,
            "the recipe sets crf or speed",
        ),
        (
            r#"{"watermark":{"image":"logo"},"outputs":[{"kind":"mp4"}]}"#,
            "the recipe adds a watermark",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","max_width_px":640}]}"#,
            "1280x720 becomes 640x360",
        ),
        (
            r#"{"frame":{"fps":"24"},"outputs":[{"kind":"mp4"}]}"#,
            "the frame rate is variable or differs from the requested one",
        ),
    ] {
        assert_eq!(decision(&planned(json, &copyable()), "video"), expected, "{json}");
    }
}

#[test]
fn video_is_copied_unless_codec_container_or_gops_do_not_fit() {
    let codec = |name: &str| {
        let mut probe = copyable();
        probe.streams[0].codec = name.into();
        probe
    };
    let container = |name: &str| Probe {
        container: name.into(),
        ..copyable()
    };
    let rows: [(Probe, &str); 9] = [
        (container("matroska,webm"), "copy"),
        (with_keyframes(|k| k.hidden = true), "copy"),
        (with_video(|facts| facts.bitrate_bps = None), "copy"),
        (codec("hevc"), "hevc is not h264"),
        (container("mpegts"), "timestamps in mpegts are not reliable"),
        (
            with_video(|facts| facts.keyframes = None),
            "its GOPs are not known to be closed",
        ),
        (
            with_keyframes(|k| k.closed = false),
            "its GOPs are not known to be closed",
        ),
        (
            with_keyframes(|k| k.longest_us = 12_000_000),
            "its keyframes are too far apart",
        ),
        (
            with_video(|facts| facts.bitrate_bps = Some(40_000_000)),
            "40000000 b/s is more than its size needs",
        ),
    ];
    for (probe, expected) in rows {
        assert_eq!(decision(&planned(MP4, &probe), "video"), expected, "{probe:?}");
    }
}

#[test]
fn video_is_copied_unless_its_frames_do_not_fit() {
    let rows: [(Probe, &str); 8] = [
        (
            with_video(|facts| facts.quarter_turns = 2),
            "metadata rotates or mirrors the video",
        ),
        (
            with_video(|facts| facts.mirrored = true),
            "metadata rotates or mirrors the video",
        ),
        (
            with_video(|facts| facts.sample_aspect = Rational { num: 4, den: 3 }),
            "1707x720 becomes 1708x720",
        ),
        (
            with_video(|facts| facts.pixel_format = "yuv420p10le".into()),
            "yuv420p10le is not 8-bit 4:2:0 in limited range",
        ),
        (
            with_video(|facts| facts.full_range = true),
            "yuv420p is not 8-bit 4:2:0 in limited range",
        ),
        (
            with_video(|facts| facts.interlaced = true),
            "the video is HDR or interlaced",
        ),
        (
            with_video(|facts| facts.changes = true),
            "its codec headers change within the stream",
        ),
        (
            with_video(|facts| facts.base_fps = fps(90_000, 1)),
            "the frame rate is variable or differs from the requested one",
        ),
    ];
    for (probe, expected) in rows {
        assert_eq!(decision(&planned(MP4, &probe), "video"), expected, "{probe:?}");
    }
}

#[test]
fn a_fast_trim_copies_a_webm_only_with_audio_that_is_copied_too() {
    let webm = |codec: &str| {
        let mut probe = copyable();
        probe.container = "matroska,webm".into();
        probe.streams[0].codec = "vp9".into();
        probe.streams[1].codec = codec.into();
        probe
    };
    let json = r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"webm"}]}"#;
    assert_eq!(decision(&planned(json, &webm("opus")), "video"), "copy");
    assert_eq!(
        decision(&planned(json, &webm("vorbis")), "video"),
        "its audio is encoded and begins later than the keyframe"
    );
    let mut hidden = webm("opus");
    if let StreamKind::Video(facts) = &mut hidden.streams[0].kind {
        facts.keyframes.iter_mut().for_each(|keyframes| keyframes.hidden = true);
    }
    let reason = "an edit list hides its beginning, and the new container has none";
    assert_eq!(
        decision(&planned(r#"{"outputs":[{"kind":"webm"}]}"#, &hidden), "video"),
        reason
    );
}

#[test]
fn a_source_with_damaged_packets_is_planned_without_copies() {
    let plan = planned_with(MP4, &copyable(), CopyPolicy::NoStream);
    assert!(!plan.copies(), "{:?}", plan.outputs[0].steps);
    let reason = "the first attempt to copy it found damaged packets or changing headers";
    assert_eq!([decision(&plan, "video"), decision(&plan, "audio")], [reason; 2]);
    assert!(planned(MP4, &copyable()).copies());
}

#[test]
fn audio_with_gaps_is_encoded_beside_copied_video() {
    let plan = planned_with(MP4, &copyable(), CopyPolicy::NoAudio);
    let reason = "the first attempt to copy it found gaps, and many players play the audio after a gap too early";
    assert_eq!([decision(&plan, "video"), decision(&plan, "audio")], ["copy", reason]);
}

#[test]
fn each_stream_that_cannot_be_copied_has_its_own_reason() {
    let decisions = |copies| {
        let plan = planned_with(MP4, &copyable(), copies);
        ["video", "audio"].map(|stream| decision(&plan, stream).to_owned())
    };
    let [video, copied] = decisions(CopyPolicy::NoVideo);
    assert_eq!((&*copied, video.contains("rate")), ("copy", true), "{video}");
    let [_, audio] = decisions(CopyPolicy::NoAudio);
    assert_eq!(decisions(CopyPolicy::NoAudioNoVideo), [video, audio]);
}

#[test]
fn a_source_with_a_timestamp_discontinuity_is_not_copied() {
    let source = Probe {
        jumps: true,
        ..copyable()
    };
    let plan = planned(MP4, &source);
    let reason = format!("timestamps in {} are not reliable", source.container);
    assert_eq!([decision(&plan, "video"), decision(&plan, "audio")], [&*reason; 2]);
}
