//! Which streams of a source are used, what is told of the others, and tables that lie about them.

use crate::clips::{clip, numbered};
use crate::studio::{Take, plan, probe, recipe, shoot};
use domain::Code;
use domain::plan::{Content, WarningCode};
use std::path::{Path, PathBuf};

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const SOUND: &str = r#""outputs":[{"kind":"audio"}]"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// The detail of a warning, of the plan or of the report.
fn warning(take: &Take, code: WarningCode) -> Option<String> {
    let mut all = take.plan.warnings.iter().chain(&take.report.warnings);
    all.find(|warning| warning.code == code)
        .map(|warning| warning.detail.clone())
}

/// A copy of a file in which bytes were changed.
fn patched(source: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(source).unwrap();
    change(&mut bytes);
    let path = source.with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Where a name of a box stands, the last time.
fn place_of(bytes: &[u8], name: &[u8]) -> usize {
    bytes.windows(name.len()).rposition(|window| window == name).unwrap()
}

#[test]
fn only_pictures_and_sound_travel_and_the_rest_is_named() {
    let text = clip("empty.ts", "-f lavfi -i sine=d=0.1 -c:a aac").with_file_name("words.srt");
    std::fs::write(&text, "1\n00:00:00,000 --> 00:00:01,000\nwords\n").unwrap();
    let text = text.display();
    let both = format!("-f lavfi -i sine=d=2 {H264} -t 2");
    for (name, arguments, kinds) in [
        (
            "subtitled.mkv",
            format!(
                "-f lavfi -i sine=d=2 -i {text} -map 0 -map 1 -map 2 -attach {text} -metadata:s:t mimetype=text/plain {H264} -t 2"
            ),
            &["subtitle", "attachment"][..],
        ),
        ("timecode.mov", format!("{both} -timecode 01:00:00:00"), &["data"]),
    ] {
        let take = shoot(&numbered(name, &arguments), &recipe(MP4)).unwrap();
        assert_eq!(take.numbers(0), (0..60).collect::<Vec<_>>(), "{name}");
        assert_eq!(take.output(0).2.probe.streams.len(), 2, "{name}");
        let told = warning(&take, WarningCode::StreamsDropped).unwrap();
        assert!(kinds.iter().all(|kind| told.contains(kind)), "{name}: {told}");
    }
}

#[test]
fn of_several_languages_the_default_or_the_one_asked_for_is_heard() {
    let tones = "-f lavfi -i testsrc2=s=64x64:d=2 -f lavfi -i sine=f=300:r=48000:d=2 -f lavfi -i sine=f=600:r=48000:d=2 -f lavfi -i sine=f=1200:r=48000:d=2 \
        -map 0 -map 1 -map 2 -map 3 -metadata:s:a:0 language=eng -metadata:s:a:1 language=spa -metadata:s:a:2 language=fra \
        -disposition:a 0 -c:v libx264 -c:a aac";
    let flagged = clip("languages.mkv", &format!("{tones} -disposition:a:1 default"));
    let unflagged = clip("languages-unflagged.mkv", &format!("{tones} -default_mode passthrough"));
    for (source, audio, hertz, left) in [
        (&flagged, "{}", 600, "eng"),
        (&flagged, r#"{"stream":2}"#, 1_200, "spa"),
        (&flagged, r#"{"language":"eng"}"#, 300, "spa"),
        (&flagged, r#"{"language":"deu"}"#, 600, "fra"),
        (&unflagged, "{}", 300, "spa"),
    ] {
        let take = shoot(source, &recipe(&format!(r#"{{"audio":{audio},{SOUND}}}"#))).unwrap();
        let second = &take.samples(0)[24_000..72_000];
        let crossings = second
            .windows(2)
            .filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0))
            .count();
        assert!((crossings / 2).abs_diff(hertz) <= 3, "{audio}: {} Hz", crossings / 2);
        let told = warning(&take, WarningCode::StreamsDropped).unwrap();
        assert!(told.contains(left), "{audio}: {told}");
        assert_eq!(
            warning(&take, WarningCode::LanguageMissing).is_some(),
            audio.contains("deu")
        );
    }
    let failure = shoot(&flagged, &recipe(&format!(r#"{{"audio":{{"stream":3}},{SOUND}}}"#))).unwrap_err();
    assert_eq!(failure.code, Code::NoAudioStream);
}

#[test]
fn a_cover_does_not_stand_in_for_a_video() {
    let arguments = "-f lavfi -i sine=d=2 -f lavfi -i color=blue:s=64x64:d=0.04 -map 0 -map 1 -c:v png -frames:v 1 \
        -disposition:v attached_pic -c:a libmp3lame";
    let failure = shoot(&clip("covered-too.mp3", arguments), &recipe(MP4)).unwrap_err();
    assert_eq!(failure.code, Code::NoVideoStream);
}

#[test]
fn of_two_video_streams_the_main_one_is_shown() {
    // The default one, wherever it stands; without such a flag the larger one.
    let small = "-f lavfi -i testsrc2=s=32x32:d=8 -f lavfi -i testsrc2=s=128x128:d=8";
    let flags = "-disposition:v 0 -disposition:v:1 default";
    for (name, maps, flags) in [
        ("two-flagged.mkv", "-map 2 -map 0", flags),
        (
            "two-sizes.mkv",
            "-map 1 -map 0",
            "-disposition:v 0 -default_mode passthrough",
        ),
    ] {
        let source = numbered(name, &format!("{small} {maps} {H264} {flags} -t 2"));
        let take = shoot(&source, &recipe(MP4)).unwrap();
        assert_eq!(take.numbers(0), (0..60).collect::<Vec<_>>(), "{name}");
        assert!(
            warning(&take, WarningCode::StreamsDropped).unwrap().contains("video"),
            "{name}"
        );
    }
}

#[test]
fn sound_that_nobody_can_decode_costs_the_sound_alone() {
    let source = numbered("sounding.mp4", &format!("-f lavfi -i sine=d=8 {H264} -c:a aac"));
    let source = patched(&source, "undecodable.mp4", |bytes| {
        for (name, other) in [(&b"mp4a"[..], b"zzzz"), (b"esds", b"free")] {
            let at = place_of(bytes, name);
            bytes[at..at + 4].copy_from_slice(other);
        }
    });
    let take = shoot(&source, &recipe(MP4)).unwrap();
    assert_eq!(take.numbers(0), (0..240).collect::<Vec<_>>());
    assert!(take.output(0).2.probe.main_audio().is_none());
    assert!(
        warning(&take, WarningCode::AudioUndecodable).is_some(),
        "{:?}",
        take.plan.warnings
    );
}

#[test]
fn tables_that_are_missing_or_lie_cost_no_picture() {
    let source = numbered(
        "sounding-first.mp4",
        &format!("-f lavfi -i sine=d=8 {H264} -c:a aac -movflags +faststart"),
    );
    let no_keyframes = patched(&source, "no-stss.mp4", |bytes| {
        let at = place_of(bytes, b"stss");
        bytes[at..at + 4].copy_from_slice(b"free");
    });
    let too_long = patched(&source, "mdat-too-long.mp4", |bytes| {
        let at = place_of(bytes, b"mdat");
        let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) + 5_000;
        bytes[at - 4..at].copy_from_slice(&size.to_be_bytes());
    });
    let to_the_end = patched(&source, "mdat-to-the-end.mp4", |bytes| {
        let at = place_of(bytes, b"mdat");
        bytes[at - 4..at].copy_from_slice(&[0; 4]);
    });
    for source in [no_keyframes, too_long, to_the_end] {
        let take = shoot(&source, &recipe(MP4)).unwrap();
        assert_eq!(take.numbers(0), (0..240).collect::<Vec<_>>(), "{source:?}");
        assert!(
            take.report.warnings.is_empty(),
            "{source:?}: {:?}",
            take.report.warnings
        );
        let cut = r#"{"trim":{"start":3.5,"end":4},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let take = shoot(&source, &recipe(cut)).unwrap();
        assert_eq!(take.numbers(0), (105..120).collect::<Vec<_>>(), "{source:?}");
    }
}

#[test]
fn a_track_without_a_single_sample_is_passed_over() {
    let source = numbered("sounding.mp4", &format!("-f lavfi -i sine=d=8 {H264} -c:a aac"));
    // The tables of the sound say that there are no samples, and where none of them would be.
    let source = patched(&source, "empty-track.mp4", |bytes| {
        for table in [&b"stts"[..], b"stsc", b"stco"] {
            let at = place_of(bytes, table) + 8;
            bytes[at..at + 4].copy_from_slice(&[0; 4]);
        }
        let at = place_of(bytes, b"stsz") + 12;
        bytes[at..at + 4].copy_from_slice(&[0; 4]);
    });
    let take = shoot(&source, &recipe(MP4)).unwrap();
    assert_eq!(take.numbers(0), (0..240).collect::<Vec<_>>());
}

#[test]
fn a_source_without_sound_makes_a_stream_without_a_group_of_sound() {
    let source = numbered("numbered.mp4", H264);
    let plan = plan(&recipe(r#"{"outputs":[{"kind":"hls"}]}"#), &probe(&source).unwrap()).unwrap();
    assert!(matches!(&plan.outputs[0].content, Content::Hls(hls) if hls.audio.is_none()));
    let take = shoot(&source, &recipe(MP4)).unwrap();
    assert!(take.output(0).2.probe.main_audio().is_none());
    let failure = shoot(&source, &recipe(&format!("{{{SOUND}}}"))).unwrap_err();
    assert_eq!(failure.code, Code::NoAudioStream);
}
