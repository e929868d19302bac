//! Timing information of containers: variable frame rates, a discontinuity, wrong or missing durations, truncation.

use crate::clips::{clip_with, numbered, numbered_with_audio};
use crate::harness::{Run, process, recipe};
use domain::plan::WarningCode;
use std::path::{Path, PathBuf};

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// Six seconds at 30 fps. The last half second is white and loud. `filters` change the timestamps of the frames.
fn bright_and_loud_end(name: &str, filters: &str, encoding: &str) -> PathBuf {
    let video = format!("color=black:s=160x90:r=30:d=6,drawbox=enable='gte(t,5.49)':c=white:t=fill{filters}");
    let audio = "aevalsrc=exprs='if(gte(t,5.5),0.8*sin(2*PI*1000*t),0)':d=6:s=48000";
    let mut arguments = vec!["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", audio];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// Times in an output, in milliseconds.
struct Times {
    /// Start of the white frames at the end.
    white: usize,
    /// Start of the loud audio at the end.
    loud: usize,
    /// End of the video.
    video_end: usize,
    /// End of the audio.
    audio_end: usize,
}

fn times(run: &Run) -> Times {
    let (frames, width, height) = run.luma(0);
    let fps = run.plan.fps;
    let at = |count: usize| usize::try_from(fps.duration_us(u64::try_from(count).unwrap()) / 1_000).unwrap();
    let dark = frames
        .iter()
        .rposition(|luma| luma[height / 2 * width + width / 2] < 128)
        .unwrap();
    let samples = run.samples(0);
    let blocks: Vec<_> = samples
        .chunks(48)
        .map(|block| block.iter().any(|sample| sample.abs() > 0.1))
        .collect();
    let loud = blocks.iter().rposition(|loud| *loud).unwrap();
    let quiet = blocks[..loud].iter().rposition(|loud| !loud).unwrap();
    Times {
        white: at(dark + 1),
        loud: quiet + 1,
        video_end: at(frames.len()),
        audio_end: samples.len() / 48,
    }
}

#[test]
fn audio_and_video_of_variable_frame_rate_sources_end_together() {
    let aac = format!("{H264} -c:a aac");
    let passthrough = format!("-vsync passthrough {aac}");
    for (name, filters, encoding) in [
        (
            "end-vfr.mkv",
            ",select='not(eq(mod(n,7),3))'",
            "-vsync vfr ".to_owned() + &aac,
        ),
        (
            "end-vfr.mp4",
            ",select='lt(mod(n,9),4)+gt(n,170)'",
            "-vsync vfr ".to_owned() + &aac,
        ),
        (
            "end-1000.mp4",
            ",settb=1/1000,setpts='N*33+mod(N*7,13)+N/3'",
            format!("{passthrough} -video_track_timescale 1000"),
        ),
        (
            "end-1000.mkv",
            ",settb=1/1000,setpts='N*33+mod(N*7,13)+N/3'",
            passthrough.clone(),
        ),
        ("end-ntsc.mov", ",fps=30000/1001", aac.clone()),
    ] {
        let source = bright_and_loud_end(name, filters, &encoding);
        let run = process(&source, &recipe(MP4)).unwrap();
        let Times {
            white,
            loud,
            video_end,
            audio_end,
        } = times(&run);
        assert!(
            white.abs_diff(5_500) <= 67 && loud.abs_diff(5_500) <= 34,
            "{name}: {white} and {loud} ms"
        );
        assert!(
            video_end.abs_diff(audio_end) <= 34 && video_end.abs_diff(6_000) <= 67,
            "{name}: {video_end} and {audio_end} ms"
        );
        let rate = run.plan.fps.as_f64();
        assert!(
            (20.0..=61.0).contains(&rate) || name == "end-vfr.mp4",
            "{name}: {rate} fps"
        );
    }
}

#[test]
fn a_timestamp_discontinuity_causes_no_gap_and_keeps_audio_in_sync() {
    let part = |name: &str, offset: &str| {
        let encoding = format!("{H264} -c:a aac -output_ts_offset {offset}");
        std::fs::read(bright_and_loud_end(name, "", &encoding)).unwrap()
    };
    let first = part("part-0.ts", "0");
    let first_path = bright_and_loud_end("part-0.ts", "", &format!("{H264} -c:a aac -output_ts_offset 0"));
    for (name, offset) in [("forward", "5000"), ("back", "0")] {
        let source = first_path.with_file_name(format!("jump-{name}.ts"));
        std::fs::write(
            &source,
            [first.clone(), part(&format!("part-{offset}.ts"), offset)].concat(),
        )
        .unwrap();
        let run = process(&source, &recipe(MP4)).unwrap();
        let Times {
            white,
            loud,
            video_end,
            audio_end,
        } = times(&run);
        assert!(
            white.abs_diff(11_500) <= 100 && white.abs_diff(loud) <= 34,
            "{name}: {white} and {loud} ms"
        );
        assert!(
            video_end.abs_diff(12_000) <= 100 && video_end.abs_diff(audio_end) <= 34,
            "{name}: {video_end} and {audio_end} ms"
        );
    }
}

/// A copy of a Matroska file with another `Duration` in its header, in milliseconds (RFC 9559 §5.1.2.10).
fn with_duration(source: &Path, name: &str, ms: f64) -> PathBuf {
    let mut bytes = std::fs::read(source).unwrap();
    let at = bytes
        .windows(3)
        .position(|window| window == [0x44, 0x89, 0x88])
        .unwrap()
        + 3;
    bytes[at..at + 8].copy_from_slice(&ms.to_be_bytes());
    let path = source.with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_wrong_duration_in_the_header_is_ignored() {
    let source = numbered("numbered.mkv", H264);
    for ms in [4_000.0, 9_000.0, 7_200_000.0, 0.0, -5.0, f64::NAN] {
        let run = process(&with_duration(&source, &format!("duration-{ms}.mkv"), ms), &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..240).collect::<Vec<_>>(), "{ms} ms");
        let percents: Vec<_> = run.progress.iter().map(|step| step.percent).collect();
        assert!(
            percents.is_sorted() && percents.last() == Some(&100),
            "{ms} ms: {percents:?}"
        );
    }
}

#[test]
fn progress_advances_without_a_duration_in_the_header() {
    let arguments =
        "-f lavfi -i testsrc2=s=1280x720:r=30:d=4 -c:v libvpx -deadline realtime -cpu-used 8 -b:v 4M -live 1 -f webm";
    let source = clip_with("live-large-4.webm", &arguments.split_whitespace().collect::<Vec<_>>());
    let slow = r#"{"outputs":[{"kind":"mp4","video":{"speed":"balanced"}}]}"#;
    let run = process(&source, &recipe(slow)).unwrap();
    let between = run.progress.iter().filter(|step| (1..100).contains(&step.percent));
    assert!(between.count() >= 1, "{:?}", run.progress);
}

#[test]
fn a_truncated_file_reports_the_lost_duration() {
    for (name, encoding, missing) in [
        ("numbered-first.mp4", format!("{H264} -movflags +faststart"), true),
        ("numbered.mkv", H264.to_owned(), true),
        (
            "numbered.webm",
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 4 -b:v 0".to_owned(),
            true,
        ),
        ("numbered-b.avi", "-c:v mpeg4 -q:v 1 -bf 2".to_owned(), true),
        ("numbered.flv", "-c:v flv -q:v 1".to_owned(), true),
        // A transport stream has no duration in a header, so nothing is known to be missing.
        ("numbered.ts", H264.to_owned(), false),
    ] {
        let whole = numbered(name, &encoding);
        let bytes = std::fs::read(&whole).unwrap();
        let source = whole.with_file_name(format!("half-of-{name}"));
        std::fs::write(&source, &bytes[..bytes.len() / 2]).unwrap();
        let run = process(&source, &recipe(MP4)).unwrap();
        let frames = run.report.outputs[0].frames;
        assert!((40..200).contains(&frames), "{name}: {frames} frames");
        let warning = run
            .report
            .warnings
            .iter()
            .find(|warning| warning.code == WarningCode::SourceDamaged);
        let lost_ms = warning.map(|warning| warning.detail.split(' ').next().unwrap().parse::<u64>().unwrap());
        if missing {
            let lost_ms = lost_ms.unwrap_or_else(|| panic!("{name}: no warning, {frames} frames"));
            assert!(
                lost_ms.abs_diff((240 - frames) * 1_000 / 30) < 600,
                "{name}: {lost_ms} ms, {frames} frames"
            );
        }
    }
}

#[test]
fn intra_only_open_gop_and_single_frame_sources_are_trimmed_exactly() {
    for (name, encoding) in [
        ("every-one.mp4", "-c:v libx264 -preset ultrafast -crf 4 -g 1"),
        ("every-one.ts", "-c:v libx264 -preset ultrafast -crf 4 -g 1"),
        ("every-one.mov", "-c:v prores_ks"),
        (
            "open-groups.mp4",
            "-c:v libx264 -preset fast -crf 4 -g 12 -bf 3 -x264opts open-gop=1",
        ),
    ] {
        let json = r#"{"trim":{"start":1.5,"end":3},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let run = process(&numbered(name, encoding), &recipe(json)).unwrap();
        assert_eq!(run.frame_numbers(0), (45..90).collect::<Vec<_>>(), "{name}");
    }
    for extension in ["mp4", "mkv", "ts", "avi", "webm"] {
        let codec = if extension == "webm" {
            "-c:v libvpx"
        } else {
            "-c:v libx264 -preset ultrafast -crf 4"
        };
        let source = numbered(&format!("only-one.{extension}"), &format!("{codec} -frames:v 1"));
        let run = process(&source, &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), [0], "{extension}");
    }
}

#[test]
fn frames_before_0_of_matroska_with_b_frames_are_kept_in_sync() {
    let beeps = "if(between(mod(t,1),0.5,0.6),0.8*sin(2*PI*1000*t),0)";
    for (offset, codec) in [
        ("-1.0", "libx264 -preset ultrafast -crf 4 -bf 2"),
        ("-0.1", "libx264 -preset ultrafast -crf 4 -bf 2"),
        ("-2.5", "libx264 -preset ultrafast -crf 4 -bf 0"),
        ("-2.5", "libx265 -preset ultrafast -crf 4 -x265-params log-level=error"),
    ] {
        let encoding = format!(
            "-t 4 -output_ts_offset {offset} -avoid_negative_ts disabled -c:v {codec} -g 15 -pix_fmt yuv420p -c:a aac"
        );
        let source = numbered_with_audio(beeps, &format!("early{offset}.mkv"), &encoding);
        for json in [
            MP4,
            r#"{"outputs":[{"kind":"mp4"}]}"#,
            r#"{"outputs":[{"kind":"mp4","video":{"codec":"h265"}}]}"#,
        ] {
            let run = process(&source, &recipe(json)).unwrap();
            assert!(
                run.report.warnings.is_empty(),
                "{offset} {json}: {:?}",
                run.report.warnings
            );
            let seen = run.frame_numbers(0);
            assert_eq!(seen, (0..120).collect::<Vec<_>>(), "{offset} {json}");
            let beeps = run.beeps_ms(0);
            assert_eq!(beeps.len(), 4, "{offset} {json}: {beeps:?}");
            for (number, beep) in beeps.iter().enumerate() {
                assert!(beep.abs_diff(500 + number * 1_000) <= 30, "{offset} {json}: {beeps:?}");
            }
        }
        let trimmed = r#"{"trim":{"start":0.5,"end":1.5},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let run = process(&source, &recipe(trimmed)).unwrap();
        assert_eq!(run.frame_numbers(0), (15..45).collect::<Vec<_>>(), "{offset}");
        assert!(run.report.warnings.is_empty(), "{offset}: {:?}", run.report.warnings);
    }
}

#[test]
fn audio_stays_in_place_after_packets_that_do_not_decode() {
    let audio = "if(between(mod(t,1),0.5,0.6),0.8*sin(2*PI*1000*t),0)";
    let encoding = "-c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p -c:a aac";
    let whole = numbered_with_audio(audio, "undecodable-whole.mp4", encoding);
    let expected = process(&whole, &recipe(MP4)).unwrap().beeps_ms(0);
    // Overwrites all bytes of these audio packets, in the silence between two beeps.
    let noise = "noise=amount='if(eq(n,40)+eq(n,135)+eq(n,136),1,0)'";
    let source = clip_with(
        "undecodable.mp4",
        &["-i", whole.to_str().unwrap(), "-c", "copy", "-bsf:a", noise],
    );
    let run = process(&source, &recipe(MP4)).unwrap();
    let codes: Vec<_> = run.report.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [WarningCode::SourceDamaged]);
    let beeps = run.beeps_ms(0);
    assert_eq!(beeps.len(), expected.len(), "{beeps:?}");
    for (beep, expected) in beeps.iter().zip(&expected) {
        assert!(beep.abs_diff(*expected) <= 2, "{beeps:?}, {expected:?}");
    }
}
