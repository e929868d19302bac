//! Sources with missing data: the gap is reported with its length and position, and everything after it stays in
//! position. Pauses, which look similar, are in `gaps_or_pauses.rs`.

use crate::clips::{clip_with, frame_number, numbered_with_audio};
use crate::harness::{Run, process, recipe};
use domain::plan::WarningCode;
use std::fs;
use std::path::{Path, PathBuf};

/// A clip of [`numbered_with_audio`] with a beep at each full second and a quiet tone in between.
pub(crate) fn numbered_with_beeps(name: &str, encoding: &str) -> PathBuf {
    let beeps = "if(lt(mod(t,1),0.1),0.8*sin(2*PI*1000*t),0.01*sin(2*PI*300*t))";
    numbered_with_audio(beeps, name, encoding)
}

pub(crate) const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -g 30 -pix_fmt yuv420p";

/// A copy of a file without its middle third.
pub(crate) fn without_middle(source: &Path) -> PathBuf {
    let bytes = fs::read(source).unwrap();
    let (from, to) = (bytes.len() / 3, bytes.len() * 2 / 3);
    written(source, "gap", &[&bytes[..from], &bytes[to..]].concat())
}

/// A copy of a file whose middle third is overwritten with zeros.
fn with_zeros(source: &Path) -> PathBuf {
    let mut bytes = fs::read(source).unwrap();
    let (from, to) = (bytes.len() / 3, bytes.len() * 2 / 3);
    bytes[from..to].fill(0);
    written(source, "zeros", &bytes)
}

/// A copy of a fragmented MP4 without its third and fourth fragment.
pub(crate) fn without_fragments(source: &Path) -> PathBuf {
    let bytes = fs::read(source).unwrap();
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"moof");
    let starts: Vec<_> = starts.map(|(index, _)| index - 4).collect();
    written(
        source,
        "fragments",
        &[&bytes[..starts[2]], &bytes[starts[4]..]].concat(),
    )
}

/// Writes a damaged copy beside the source. It is renamed into place, because tests run concurrently.
pub(crate) fn written(source: &Path, damage: &str, bytes: &[u8]) -> PathBuf {
    let name = source.file_name().unwrap().to_str().unwrap();
    let path = source.with_file_name(format!("{damage}-{name}"));
    let partial = source.with_file_name(format!("partial-{}-{damage}-{name}", std::process::id()));
    fs::write(&partial, bytes).unwrap();
    fs::rename(&partial, &path).unwrap();
    path
}

/// Parses the warnings with this code. Returns the lost duration and the position of each, in seconds.
pub(crate) fn reported_gaps(run: &Run, code: WarningCode) -> Vec<(f64, f64)> {
    let warnings = run.report.warnings.iter().filter(|warning| warning.code == code);
    let read = warnings.map(|warning| {
        // The cause of a loss follows a semicolon.
        let loss = warning.detail.split(';').next().unwrap();
        let words: Vec<_> = loss.split([' ', ':']).collect();
        let ms = words.iter().position(|word| *word == "ms").unwrap();
        let seconds_and_minutes: Vec<f64> = words.iter().rev().take(2).map(|word| word.parse().unwrap()).collect();
        (
            words[ms - 1].parse::<f64>().unwrap() / 1_000.0,
            seconds_and_minutes[0] + 60.0 * seconds_and_minutes[1],
        )
    });
    read.collect()
}

/// The details of all warnings about lost audio or video.
pub(crate) fn loss_details(run: &Run) -> Vec<&str> {
    let codes = [WarningCode::SourceDamaged, WarningCode::SoundShortened];
    let warnings = run
        .report
        .warnings
        .iter()
        .filter(|warning| codes.contains(&warning.code));
    warnings.map(|warning| warning.detail.as_str()).collect()
}

/// The longest time for which one frame is shown, in seconds: start and end. A gap holds the last frame before it.
fn longest_held_frame(run: &Run) -> (f64, f64) {
    let (frames, width, height) = run.luma(0);
    let numbers: Vec<_> = frames.iter().map(|luma| frame_number(luma, width, height)).collect();
    let runs = numbers.chunk_by(|one, next| one == next);
    let (mut at, mut longest) = (0, (0, 0));
    for repeats in runs {
        if repeats.len() > longest.1 - longest.0 {
            longest = (at, at + repeats.len());
        }
        at += repeats.len();
    }
    (longest.0 as f64 / 30.0, longest.1 as f64 / 30.0)
}

/// Asserts that beeps before and after the gap are at full seconds.
pub(crate) fn assert_beeps_in_position(run: &Run, name: &str) {
    let beeps = run.beeps_ms(0);
    let early = beeps.iter().filter(|ms| **ms < 2_500).count();
    let late = beeps.iter().filter(|ms| **ms > 5_500).count();
    // A gap may end within a beep, which then starts late.
    let misplaced = beeps
        .iter()
        .filter(|ms| (**ms + 500) % 1_000 < 440 || (**ms + 500) % 1_000 > 610);
    assert!(early >= 2 && late >= 2 && misplaced.count() == 0, "{name}: {beeps:?}");
}

/// Damaged sources by container.
fn sources() -> Vec<(&'static str, PathBuf)> {
    let source = |name: &str, options: &str| numbered_with_beeps(name, &format!("{H264} -c:a aac -b:a 128k {options}"));
    let matroska = source("gaps.mkv", "-cluster_time_limit 500");
    let fragments = "-movflags +frag_keyframe+empty_moov+default_base_moof";
    vec![
        ("flv", without_middle(&source("gaps.flv", ""))),
        ("flv zeros", with_zeros(&source("gaps.flv", ""))),
        ("mkv", without_middle(&matroska)),
        ("mkv zeros", with_zeros(&matroska)),
        ("ts", without_middle(&source("gaps.ts", ""))),
        ("mp4", without_fragments(&source("gaps-fragments.mp4", fragments))),
        (
            "mpg",
            without_middle(&numbered_with_beeps(
                "gaps.mpg",
                "-c:v mpeg2video -q:v 2 -g 15 -bf 0 -c:a mp2 -b:a 256k -f vob",
            )),
        ),
    ]
}

#[test]
fn a_gap_is_reported_with_its_length_and_position_for_every_trim() {
    for (name, source) in sources() {
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#)).unwrap();
        let (from, to) = longest_held_frame(&run);
        assert!(to - from > 0.9, "{name}: no gap, longest frame from {from} to {to}");
        let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
            panic!("{name}: {:?}", run.report.warnings)
        };
        assert!((lost - (to - from)).abs() < 0.45, "{name}: {lost} lost, {from} to {to}");
        // In MPEG multiplexes the video is up to a second ahead of the audio.
        let ahead = if ["ts", "mpg"].contains(&name) { 1.2 } else { 0.3 };
        assert!(at > from - ahead && at < from + 0.3, "{name}: at {at}, {from} to {to}");
        assert_beeps_in_position(&run, name);

        let trimmed = |start: f64, end: f64| {
            let json = format!(r#"{{"trim":{{"start":{start:.3},"end":{end:.3}}},"outputs":[{{"kind":"mp4"}}]}}"#);
            process(&source, &recipe(&json)).unwrap()
        };
        let before = trimmed(0.0, from - ahead - 0.2);
        assert_eq!(loss_details(&before), [""; 0], "{name}: before");
        // Frames before the next keyframe are damaged.
        let after = trimmed(to + 1.6, 7.9);
        assert_eq!(loss_details(&after), [""; 0], "{name}: after");
        let middle = (from + to) / 2.0;
        let part = trimmed(middle, to + 0.5);
        let [(lost, _)] = reported_gaps(&part, WarningCode::SourceDamaged)[..] else {
            panic!("{name}: {:?}", part.report.warnings)
        };
        assert!(
            (lost - (to - middle)).abs() < 0.75,
            "{name}: {lost} lost, {middle} to {to}"
        );
    }
}

#[test]
fn fragments_behind_a_break_of_an_mp4_are_read_and_the_loss_is_reported() {
    let source = |flags: &str| {
        let movflags = format!("-c:a aac -b:a 128k -movflags {flags}");
        numbered_with_beeps("broken-fragments.mp4", &format!("{H264} {movflags}"))
    };
    for flags in [
        // The index lists the samples before the first fragment.
        "+frag_keyframe",
        "+frag_keyframe+empty_moov+default_base_moof",
        "+frag_keyframe+empty_moov+delay_moov",
    ] {
        let whole = process(&source(flags), &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(loss_details(&whole), [""; 0], "{flags}");
        for damaged in [with_zeros(&source(flags)), without_middle(&source(flags))] {
            let name = damaged.display();
            let run = process(&damaged, &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#)).unwrap();
            assert!(
                run.probe.duration_us.abs_diff(8_000_000) < 150_000,
                "{name}: {:?}",
                run.probe
            );
            let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
                panic!("{name}: {:?}", run.report.warnings)
            };
            assert!(
                (1.5..4.5).contains(&lost) && (2.0..3.5).contains(&at),
                "{name}: {lost} at {at}"
            );
            assert_beeps_in_position(&run, &name.to_string());
            assert_eq!(run.frame_numbers(0)[225], 225, "{name}");
            let json = r#"{"trim":{"start":6.5,"end":7.5},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
            let behind = process(&damaged, &recipe(json)).unwrap();
            assert_eq!(behind.frame_numbers(0), (195..225).collect::<Vec<_>>(), "{name}");
            assert_eq!(loss_details(&behind), [""; 0], "{name}");
        }
    }
}

#[test]
fn a_gap_of_matroska_with_audio_that_may_pause_is_reported() {
    let options = "-c:a libopus -b:a 128k -cluster_time_limit 500 -f matroska";
    let both = numbered_with_beeps("opus.mkv", &format!("{H264} {options}"));
    let vp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -pix_fmt yuv420p";
    let vp9 = numbered_with_beeps("opus.webm", &format!("{vp9} {options}"));
    let audio = numbered_with_beeps("opus-alone.webm", &format!("-vn {options}"));
    for (source, output) in [
        (&both, r#"{"kind":"mp4"}"#),
        (&both, r#"{"kind":"hls"}"#),
        (&vp9, r#"{"kind":"webm","video":{"codec":"vp9"}}"#),
        (&audio, r#"{"kind":"audio"}"#),
    ] {
        let recipe = recipe(&format!(r#"{{"outputs":[{output}]}}"#));
        let whole = process(source, &recipe).unwrap();
        assert_eq!(loss_details(&whole), [""; 0], "{}", source.display());
        for damaged in [with_zeros(source), without_middle(source)] {
            let run = process(&damaged, &recipe).unwrap();
            let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
                panic!("{}: {output}: {:?}", damaged.display(), run.report.warnings)
            };
            assert!(lost > 1.2 && at > 1.0 && at + lost < 7.0, "{output}: {lost} at {at}");
        }
    }
}

#[test]
fn audio_after_a_gap_stays_in_position_in_audio_outputs() {
    let flac = numbered_with_beeps("gaps.flac", "-vn -c:a flac");
    let mut sources = sources();
    sources.push(("flac", without_middle(&flac)));
    for (name, source) in sources {
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
        assert_beeps_in_position(&run, name);
        let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
            panic!("{name}: {:?}", run.report.warnings)
        };
        assert!(lost > 0.9 && at > 1.0 && at + lost < 6.5, "{name}: {lost} at {at}");
    }
}

#[test]
fn a_gap_is_reported_for_silent_video_hls_and_fast_trims() {
    let source = without_middle(&numbered_with_beeps(
        "gaps.mkv",
        &format!("{H264} -c:a aac -b:a 128k -cluster_time_limit 500"),
    ));
    for json in [
        r#"{"audio":{"mode":"drop"},"outputs":[{"kind":"mp4"}]}"#,
        r#"{"outputs":[{"kind":"hls"}]}"#,
        r#"{"trim":{"start":0,"mode":"fast"},"outputs":[{"kind":"mp4"}]}"#,
    ] {
        let run = process(&source, &recipe(json)).unwrap();
        let [(lost, _)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
            panic!("{json}: {:?}", run.report.warnings)
        };
        assert!(lost > 0.9, "{json}: {lost}");
    }
}

#[test]
fn gaps_that_look_like_a_timestamp_discontinuity_are_reported() {
    let audio = "aevalsrc=exprs='0.3*sin(2*PI*440*t)':d=45:s=48000";
    for codec in ["libopus", "libvorbis", "flac"] {
        let source = clip_with(
            &format!("gaps-{codec}.ogg"),
            &["-f", "lavfi", "-i", audio, "-c:a", codec],
        );
        let run = process(&without_middle(&source), &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
        let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
            panic!("{codec}: {:?}", run.report.warnings)
        };
        assert!(
            (lost - 15.0).abs() < 3.0 && (at - 15.0).abs() < 3.0,
            "{codec}: {lost} at {at}"
        );
    }
    let video = "testsrc2=s=64x64:r=10:d=45";
    // A transport stream has no duration in a header. With a long GOP it continues without a keyframe after the gap.
    for (name, gop) in [("long-gap.flv", "10"), ("long-gap.ts", "450")] {
        let encoding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", gop, "-c:a", "aac"];
        let arguments = [&["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio][..], &encoding];
        let source = without_middle(&clip_with(name, &arguments.concat()));
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
            panic!("{name}: {:?}", run.report.warnings)
        };
        assert!(
            (lost - 15.0).abs() < 3.0 && (at - 15.0).abs() < 3.0,
            "{name}: {lost} at {at}"
        );
    }
}

#[test]
fn still_video_and_pauses_are_not_gaps() {
    let pause = "not(between(t,3,5.5))";
    for (name, encoding) in [
        // A screen recording with a still frame under continuous audio.
        (
            "still-screen.mkv",
            format!("-vf select='{pause}' -vsync vfr {H264} -c:a aac"),
        ),
        // A slide show.
        (
            "slides.mkv",
            format!("-vf select='not(mod(n,60))' -vsync vfr {H264} -c:a aac"),
        ),
        // A pause in the audio.
        (
            "pausing.webm",
            format!("-af aselect='{pause}' {H264} -f matroska -c:a libopus"),
        ),
        // Audio that starts late and ends early.
        ("late.mkv", format!("-af aselect='between(t,2,6)' {H264} -c:a aac")),
    ] {
        let source = numbered_with_beeps(name, &encoding);
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(loss_details(&run), [""; 0], "{name}");
    }
}

#[test]
fn missing_audio_is_reported_and_later_audio_stays_in_position() {
    let source = numbered_with_beeps(
        "audio-gap.mp4",
        &format!("-af aselect='not(between(t,3.2,5.4))' {H264} -c:a aac -movflags +faststart"),
    );
    for output in [r#"{"kind":"mp4"}"#, r#"{"kind":"audio"}"#] {
        let run = process(&source, &recipe(&format!(r#"{{"outputs":[{output}]}}"#))).unwrap();
        let gaps: Vec<_> = [WarningCode::SoundShortened, WarningCode::SourceDamaged]
            .into_iter()
            .flat_map(|code| reported_gaps(&run, code))
            .collect();
        let [(lost, at)] = gaps[..] else {
            panic!("{output}: {:?}", run.report.warnings)
        };
        assert!(
            (lost - 2.2).abs() < 0.1 && (at - 3.2).abs() < 0.1,
            "{output}: {lost} at {at}"
        );
        assert_beeps_in_position(&run, output);
    }
    // A slide is shown for longer than the gap.
    let slides = "-vf select='not(mod(n,150))' -vsync vfr -af aselect='not(between(t,2.1,4.9))'";
    let source = numbered_with_beeps("slides-audio-gap.mkv", &format!("{slides} {H264} -c:a aac"));
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let [(lost, at)] = reported_gaps(&run, WarningCode::SoundShortened)[..] else {
        panic!("{:?}", run.report.warnings)
    };
    assert!((lost - 2.8).abs() < 0.1 && (at - 2.1).abs() < 0.1, "{lost} at {at}");
    assert_eq!(loss_details(&run).len(), 1, "{:?}", run.report.warnings);
}
