//! Selection of the video and audio stream, warnings about dropped streams, languages, and wrong MP4 tables.

use crate::clips::{clip, numbered};
use crate::harness::{Run, plan, probe, process, recipe};
use crate::hls_player::{folder, process_hls};
use domain::Code;
use domain::plan::{Content, WarningCode};
use std::path::{Path, PathBuf};
use std::process::Command;

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const AUDIO: &str = r#""outputs":[{"kind":"audio"}]"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// The detail of the first warning with this code, of the plan or of the report.
fn warning(run: &Run, code: WarningCode) -> Option<String> {
    let mut all = run.plan.warnings.iter().chain(&run.report.warnings);
    all.find(|warning| warning.code == code)
        .map(|warning| warning.detail.clone())
}

/// A copy of a file with changed bytes.
fn patched(source: &Path, name: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(source).unwrap();
    change(&mut bytes);
    let path = source.with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The offset of the last occurrence of a box name.
fn last_offset_of(bytes: &[u8], name: &[u8]) -> usize {
    bytes.windows(name.len()).rposition(|window| window == name).unwrap()
}

#[test]
fn only_audio_and_video_are_kept_and_other_streams_are_reported() {
    let text = clip("empty.ts", "-f lavfi -i sine=d=0.1 -c:a aac").with_file_name("subtitles.srt");
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
        let run = process(&numbered(name, &arguments), &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..60).collect::<Vec<_>>(), "{name}");
        assert_eq!(run.output(0).2.probe.streams.len(), 2, "{name}");
        let dropped = warning(&run, WarningCode::StreamsDropped).unwrap();
        assert!(kinds.iter().all(|kind| dropped.contains(kind)), "{name}: {dropped}");
    }
}

#[test]
fn the_default_or_requested_audio_language_is_selected() {
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
        let run = process(source, &recipe(&format!(r#"{{"audio":{audio},{AUDIO}}}"#))).unwrap();
        let second = &run.samples(0)[24_000..72_000];
        let crossings = second
            .windows(2)
            .filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0))
            .count();
        assert!((crossings / 2).abs_diff(hertz) <= 3, "{audio}: {} Hz", crossings / 2);
        let dropped = warning(&run, WarningCode::StreamsDropped).unwrap();
        assert!(dropped.contains(left), "{audio}: {dropped}");
        assert_eq!(
            warning(&run, WarningCode::LanguageMissing).is_some(),
            audio.contains("deu")
        );
    }
    let failure = process(&flagged, &recipe(&format!(r#"{{"audio":{{"stream":3}},{AUDIO}}}"#))).unwrap_err();
    assert_eq!(failure.code, Code::NoAudioStream);
}

#[test]
fn cover_art_is_not_selected_as_video() {
    let arguments = "-f lavfi -i sine=d=2 -f lavfi -i color=blue:s=64x64:d=0.04 -map 0 -map 1 -c:v png -frames:v 1 \
        -disposition:v attached_pic -c:a libmp3lame";
    let failure = process(&clip("covered-too.mp3", arguments), &recipe(MP4)).unwrap_err();
    assert_eq!(failure.code, Code::NoVideoStream);
}

#[test]
fn the_default_or_larger_video_stream_is_selected() {
    // The one with the default flag; without flags the larger one.
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
        let run = process(&source, &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..60).collect::<Vec<_>>(), "{name}");
        assert!(
            warning(&run, WarningCode::StreamsDropped).unwrap().contains("video"),
            "{name}"
        );
    }
}

#[test]
fn undecodable_audio_is_dropped_and_video_is_kept() {
    let source = numbered("sounding.mp4", &format!("-f lavfi -i sine=d=8 {H264} -c:a aac"));
    let source = patched(&source, "undecodable.mp4", |bytes| {
        for (name, other) in [(&b"mp4a"[..], b"zzzz"), (b"esds", b"free")] {
            let at = last_offset_of(bytes, name);
            bytes[at..at + 4].copy_from_slice(other);
        }
    });
    let run = process(&source, &recipe(MP4)).unwrap();
    assert_eq!(run.frame_numbers(0), (0..240).collect::<Vec<_>>());
    assert!(run.output(0).2.probe.main_audio().is_none());
    assert!(
        warning(&run, WarningCode::AudioUndecodable).is_some(),
        "{:?}",
        run.plan.warnings
    );
}

#[test]
fn missing_and_wrong_mp4_tables_lose_no_frame() {
    let source = numbered(
        "sounding-first.mp4",
        &format!("-f lavfi -i sine=d=8 {H264} -c:a aac -movflags +faststart"),
    );
    let no_keyframes = patched(&source, "no-stss.mp4", |bytes| {
        let at = last_offset_of(bytes, b"stss");
        bytes[at..at + 4].copy_from_slice(b"free");
    });
    let too_long = patched(&source, "mdat-too-long.mp4", |bytes| {
        let at = last_offset_of(bytes, b"mdat");
        let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) + 5_000;
        bytes[at - 4..at].copy_from_slice(&size.to_be_bytes());
    });
    let to_the_end = patched(&source, "mdat-to-the-end.mp4", |bytes| {
        let at = last_offset_of(bytes, b"mdat");
        bytes[at - 4..at].copy_from_slice(&[0; 4]);
    });
    for source in [no_keyframes, too_long, to_the_end] {
        let run = process(&source, &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..240).collect::<Vec<_>>(), "{source:?}");
        assert!(run.report.warnings.is_empty(), "{source:?}: {:?}", run.report.warnings);
        let cut = r#"{"trim":{"start":3.5,"end":4},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let run = process(&source, &recipe(cut)).unwrap();
        assert_eq!(run.frame_numbers(0), (105..120).collect::<Vec<_>>(), "{source:?}");
    }
}

#[test]
fn a_track_without_samples_is_ignored() {
    let source = numbered("sounding.mp4", &format!("-f lavfi -i sine=d=8 {H264} -c:a aac"));
    // Empties the sample tables of the audio track.
    let source = patched(&source, "empty-track.mp4", |bytes| {
        for table in [&b"stts"[..], b"stsc", b"stco"] {
            let at = last_offset_of(bytes, table) + 8;
            bytes[at..at + 4].copy_from_slice(&[0; 4]);
        }
        let at = last_offset_of(bytes, b"stsz") + 12;
        bytes[at..at + 4].copy_from_slice(&[0; 4]);
    });
    let run = process(&source, &recipe(MP4)).unwrap();
    assert_eq!(run.frame_numbers(0), (0..240).collect::<Vec<_>>());
}

#[test]
fn a_silent_source_becomes_hls_without_an_audio_group() {
    let source = numbered("numbered.mp4", H264);
    let plan = plan(&recipe(r#"{"outputs":[{"kind":"hls"}]}"#), &probe(&source).unwrap()).unwrap();
    assert!(matches!(&plan.outputs[0].content, Content::Hls(hls) if hls.audio.is_none()));
    let run = process(&source, &recipe(MP4)).unwrap();
    assert!(run.output(0).2.probe.main_audio().is_none());
    let failure = process(&source, &recipe(&format!("{{{AUDIO}}}"))).unwrap_err();
    assert_eq!(failure.code, Code::NoAudioStream);
}

/// The language tags of all streams of a file, read with `ffprobe`.
fn languages(file: &Path) -> String {
    let arguments = ["-v", "error", "-show_entries", "stream_tags=language", "-of", "csv=p=0"];
    let output = Command::new("ffprobe").args(arguments).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_audio_language_is_kept_in_every_container() {
    for extension in ["mp4", "mkv", "ts"] {
        let source = clip(
            &format!("spanish.{extension}"),
            &format!(
                "-f lavfi -i testsrc2=s=128x72:r=30:d=2 -f lavfi -i sine=d=2 {H264} -c:a aac -metadata:s:a:0 language=spa"
            ),
        );
        let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"mp4","name":"new","video":{"crf":30},"audio":{"bitrate_bps":96000}},
            {"kind":"webm","video":{"speed":"fastest"}},{"kind":"audio"}]}"#;
        let run = process(&source, &recipe(json)).unwrap();
        for output in &run.plan.outputs {
            let found = languages(&run.scratch.path().join(&output.file));
            assert!(found.contains("spa"), "{extension}, {}: {found}", output.file);
        }
        let run = process_hls(&source, r#""ladder":[72]"#);
        let found = languages(&folder(&run).join("audio-init.mp4"));
        assert!(found.contains("spa"), "{extension}, stream: {found}");
    }
}

#[test]
fn the_moving_stream_is_selected_over_a_few_large_stills() {
    let movie = numbered("numbered.mp4", H264);
    for (stills, every) in [(1, "1"), (2, "1.77"), (5, "0.5")] {
        let large = clip(
            &format!("large-{stills}.mp4"),
            &format!(
                "-f lavfi -i testsrc2=s=640x480:r=1/{every}:d=20 -c:v libx264 -pix_fmt yuv420p -frames:v {stills}"
            ),
        );
        for (extension, order, main) in [
            ("mp4", "-map 0:v -map 1:v -disposition:v default", 0),
            ("mp4", "-map 1:v -map 0:v -disposition:v default", 1),
            (
                "mov",
                "-map 0:v -map 1:v -disposition:v:0 0 -disposition:v:1 default",
                0,
            ),
            (
                "mkv",
                "-map 1:v -map 0:v -disposition:v:0 default -disposition:v:1 0",
                1,
            ),
        ] {
            let name = format!("motion-{stills}-{main}.{extension}");
            let arguments = format!("-i {} -i {} {order} -c copy", movie.display(), large.display());
            let source = clip(&name, &arguments);
            let run = process(&source, &recipe(MP4)).unwrap();
            assert_eq!(run.plan.video.unwrap().stream, main, "{name}");
            assert_eq!(run.frame_numbers(0), (0..240).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn of_two_videos_the_default_and_then_the_larger_is_selected() {
    let small = numbered("numbered.mp4", H264);
    let large = clip(
        "large-movie.mp4",
        "-f lavfi -i testsrc2=s=320x240:r=15:d=8 -c:v libx264 -pix_fmt yuv420p",
    );
    for (dispositions, main) in [
        ("-disposition:v:0 default -disposition:v:1 0", 0),
        ("-disposition:v:0 0 -disposition:v:1 default", 1),
        ("-disposition:v:0 default -disposition:v:1 default", 1),
    ] {
        let name = format!("two-movies-{}.mkv", dispositions.replace([':', ' '], "-"));
        let arguments = format!(
            "-i {} -i {} -map 0:v -map 1:v {dispositions} -c copy",
            small.display(),
            large.display()
        );
        let found = probe(&clip(&name, &arguments)).unwrap();
        assert_eq!(found.main_video().unwrap().0.index, main, "{dispositions}");
    }
}
