//! One row for each rule: a source and a wish, and whether it is copied or why not.

mod adaptive;
mod sound;

use crate::plan::{Clips, Done, Plan, plan};
use crate::probe::{AudioFacts, Keyframes, Probe, Stream, StreamKind, Unfit, VideoFacts};
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

/// A source that is already right.
fn right() -> Probe {
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
        unfit: None,
    }
}

fn with_video(change: impl Fn(&mut VideoFacts)) -> Probe {
    let mut facts = video();
    change(&mut facts);
    let mut probe = right();
    probe.streams[0].kind = StreamKind::Video(facts);
    probe
}

fn with_keyframes(change: impl Fn(&mut Keyframes)) -> Probe {
    with_video(|facts| facts.keyframes.iter_mut().for_each(&change))
}

fn with_audio(change: impl Fn(&mut AudioFacts)) -> Probe {
    let mut facts = audio();
    change(&mut facts);
    let mut probe = right();
    probe.streams[1].kind = StreamKind::Audio(facts);
    probe
}

fn planned(json: &str, probe: &Probe) -> Plan {
    let recipe: Recipe = serde_json::from_str(json).unwrap();
    plan(&recipe, probe, Clips::default(), &Limits::default()).unwrap()
}

/// `copy` or the reason why not, of a stream of the first output.
fn decision(plan: &Plan, stream: &str) -> String {
    let mut steps = plan.outputs[0].steps.iter();
    let step = steps.find(|step| step.stream == stream).unwrap();
    match step.done {
        Done::Copy => "copy".to_owned(),
        Done::Transcode => step.reason.clone(),
    }
}

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;

#[test]
fn pictures_are_copied_unless_the_wish_needs_others() {
    for (json, expected) in [
        (MP4, "copy"),
        (r#"{"frame":{"fps":"30000/1001"},"outputs":[{"kind":"mp4"}]}"#, "copy"),
        (
            r#"{"frame":{"fps":"30"},"outputs":[{"kind":"mp4"}]}"#,
            "the frame rate changes or is another one",
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
            "a watermark is laid over the picture",
        ),
        (
            r#"{"outputs":[{"kind":"mp4","max_width_px":640}]}"#,
            "1280x720 becomes 640x360",
        ),
        (
            r#"{"frame":{"fps":"24"},"outputs":[{"kind":"mp4"}]}"#,
            "the frame rate changes or is another one",
        ),
    ] {
        assert_eq!(decision(&planned(json, &right()), "video"), expected, "{json}");
    }
}

#[test]
fn pictures_are_copied_unless_the_source_is_not_right() {
    let codec = |word: &str| {
        let mut probe = right();
        probe.streams[0].codec = word.into();
        probe
    };
    let container = |word: &str| Probe {
        container: word.into(),
        ..right()
    };
    let rows: [(Probe, &str); 9] = [
        (container("matroska,webm"), "copy"),
        (with_keyframes(|k| k.hidden = true), "copy"),
        (with_video(|facts| facts.bitrate_bps = None), "copy"),
        (codec("hevc"), "hevc is not h264"),
        (container("mpegts"), "times in mpegts are not reliable"),
        (
            with_video(|facts| facts.keyframes = None),
            "its groups of pictures are not known to be closed",
        ),
        (
            with_keyframes(|k| k.closed = false),
            "its groups of pictures are not known to be closed",
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
fn pictures_are_copied_unless_they_are_of_another_kind() {
    let rows: [(Probe, &str); 8] = [
        (
            with_video(|facts| facts.quarter_turns = 2),
            "the picture is turned or mirrored by metadata",
        ),
        (
            with_video(|facts| facts.mirrored = true),
            "the picture is turned or mirrored by metadata",
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
            "the picture is HDR or interlaced",
        ),
        (
            with_video(|facts| facts.changes = true),
            "its headers change on the way",
        ),
        (
            with_video(|facts| facts.base_fps = fps(90_000, 1)),
            "the frame rate changes or is another one",
        ),
    ];
    for (probe, expected) in rows {
        assert_eq!(decision(&planned(MP4, &probe), "video"), expected, "{probe:?}");
    }
}

#[test]
fn a_webm_begins_at_its_keyframe_only_with_sound_that_does() {
    let webm = |codec: &str| {
        let mut probe = right();
        probe.container = "matroska,webm".into();
        probe.streams[0].codec = "vp9".into();
        probe.streams[1].codec = codec.into();
        probe
    };
    let json = r#"{"trim":{"start":3,"mode":"fast"},"outputs":[{"kind":"webm"}]}"#;
    assert_eq!(decision(&planned(json, &webm("opus")), "video"), "copy");
    assert_eq!(
        decision(&planned(json, &webm("vorbis")), "video"),
        "its sound is encoded and begins later than its keyframe"
    );
    let mut hidden = webm("opus");
    if let StreamKind::Video(facts) = &mut hidden.streams[0].kind {
        facts.keyframes.iter_mut().for_each(|keyframes| keyframes.hidden = true);
    }
    let why = "its container hides its beginning, and the new one cannot";
    assert_eq!(
        decision(&planned(r#"{"outputs":[{"kind":"webm"}]}"#, &hidden), "video"),
        why
    );
}

#[test]
fn what_turned_out_to_be_damaged_is_planned_without_copies() {
    let plan = planned(MP4, &right().without_copies_of(Unfit::All));
    assert!(!plan.copies(), "{:?}", plan.outputs[0].steps);
    let why = "copied at first, its packets turned out to be damaged or to change: it is made a second time";
    assert_eq!([decision(&plan, "video"), decision(&plan, "audio")], [why; 2]);
    assert!(planned(MP4, &right()).copies());
}

#[test]
fn sound_with_holes_is_encoded_beside_copied_pictures() {
    let plan = planned(MP4, &right().without_copies_of(Unfit::Sound));
    let why = "copied at first, it turned out to have holes, and many players play what follows one too early";
    assert_eq!([decision(&plan, "video"), decision(&plan, "audio")], ["copy", why]);
}

#[test]
fn nothing_is_copied_of_a_clock_that_jumps() {
    let jumping = Probe { jumps: true, ..right() };
    let plan = planned(MP4, &jumping);
    let why = format!("times in {} are not reliable", jumping.container);
    assert_eq!([decision(&plan, "video"), decision(&plan, "audio")], [&*why; 2]);
}
