//! Timestamp discontinuities: jumps, restarts and wraps; streams that were cut at any byte; AVI with empty slots.

use crate::clips::{clip_with, numbered};
use crate::harness::{process, recipe};
use domain::plan::WarningCode;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 2 -g 15 -pix_fmt yuv420p";

/// A transport stream with the numbered frames of these seconds and a beep at 0.5 s. Its audio is `extra_audio_s`
/// longer than its video, and its timestamps start at `offset` seconds.
pub(crate) fn part(name: &str, seconds: Range<u32>, extra_audio_s: f64, offset: &str) -> PathBuf {
    let video = format!(
        "color=black:s=64x64:r=30:d={},geq=lum='if(lt(X,32),16+mod(N+{first},16)*13,16+floor((N+{first})/16)*13)':cb=128:cr=128",
        seconds.end - seconds.start,
        first = seconds.start * 30
    );
    let audio_s = f64::from(seconds.end - seconds.start) + extra_audio_s;
    let audio = format!("aevalsrc=exprs='if(between(t,0.5,0.6),0.8*sin(2*PI*1000*t),0)':d={audio_s}:s=48000");
    let mut arguments = vec!["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", &audio];
    arguments.extend(H264.split_whitespace());
    arguments.extend(["-c:a", "aac", "-output_ts_offset", offset]);
    clip_with(name, &arguments)
}

/// Concatenates the bytes of files.
pub(crate) fn joined(name: &str, parts: &[PathBuf]) -> PathBuf {
    let path = parts[0].with_file_name(name);
    let bytes: Vec<_> = parts.iter().flat_map(|part| fs::read(part).unwrap()).collect();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn repeated_discontinuities_keep_audio_and_video_in_sync() {
    for (name, extra_audio_s, offsets) in [
        ("back", 0.0, ["100", "50", "20"]),
        ("forward", 0.0, ["10", "5000", "50000"]),
        ("both", 0.0, ["1000", "20", "7000"]),
        ("longer-audio", 0.3, ["1000", "20", "7000"]),
        ("shorter-audio", -0.3, ["1000", "20", "7000"]),
    ] {
        let parts: Vec<_> = offsets
            .iter()
            .zip([0..2, 2..4, 4..6])
            .map(|(offset, seconds)| {
                let name = format!("part-{extra_audio_s}-{}-{offset}.ts", seconds.start);
                part(&name, seconds, extra_audio_s, offset)
            })
            .collect();
        let source = joined(&format!("jumps-{name}.ts"), &parts);
        let run = process(&source, &recipe(MP4)).unwrap();
        let seen = run.frame_numbers(0);
        assert!(seen.len().abs_diff(180) <= 10, "{name}: {} frames", seen.len());
        let missing: Vec<_> = (0..180).filter(|number| !seen.contains(number)).collect();
        assert!(
            missing.is_empty() && seen.is_sorted(),
            "{name}: {missing:?} of {seen:?}"
        );
        // The beep of each part is in sync with its frame.
        let beeps = run.beeps_ms(0);
        for (beep, number) in beeps.iter().zip([15, 75, 135]) {
            let shown = seen.iter().position(|seen| *seen == number).unwrap() * 1_000 / 30;
            assert!(
                beep.abs_diff(shown) <= 120,
                "{name}: {beeps:?}, frame {number} at {shown} ms"
            );
        }
        assert_eq!(beeps.len(), 3, "{name}: {beeps:?}");
        let trimmed = r#"{"trim":{"start":3,"end":5},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let seen = process(&source, &recipe(trimmed)).unwrap().frame_numbers(0);
        assert_eq!(seen.len(), 60, "{name}");
        assert!(seen[0].abs_diff(90) <= 10, "{name}: begins with {}", seen[0]);
    }
}

#[test]
fn timestamps_of_33_bits_may_wrap() {
    // 33-bit timestamps at 90 kHz wrap after 95,443.7 seconds.
    for offset in ["95442", "95440", "95438.5"] {
        let source = part(&format!("wrap-{offset}.ts"), 0..6, 0.0, offset);
        let run = process(&source, &recipe(MP4)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..180).collect::<Vec<_>>(), "{offset}");
        let trimmed = r#"{"trim":{"start":4,"end":5},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
        let run = process(&source, &recipe(trimmed)).unwrap();
        assert_eq!(run.frame_numbers(0), (120..150).collect::<Vec<_>>(), "{offset}");
    }
}

#[test]
fn a_recording_with_restarting_timestamps_continues() {
    let flv = numbered("anew.flv", &format!("{H264} -t 2"));
    let bytes = fs::read(&flv).unwrap();
    let source = flv.with_file_name("anew-twice.flv");
    // The tags are repeated without the file header.
    fs::write(&source, [&bytes[..], &bytes[13..]].concat()).unwrap();
    let run = process(&source, &recipe(MP4)).unwrap();
    let seen = run.frame_numbers(0);
    assert!(seen.len().abs_diff(120) <= 2, "{} frames", seen.len());
    assert_eq!((seen[59], seen[118]), (59, 58));
}

/// A copy of a transport stream with packets of 188, 192 or 204 bytes, without its first bytes.
fn cut(source: &Path, packet_bytes: usize, skipped: usize) -> PathBuf {
    let stream = fs::read(source).unwrap();
    let packets = stream.chunks_exact(188).flat_map(|packet| match packet_bytes {
        192 => [&[0, 0, 0, 1][..], packet].concat(),
        204 => [packet, &[0x55; 16][..]].concat(),
        _ => packet.to_vec(),
    });
    let whole: Vec<_> = packets.collect();
    let path = source.with_file_name(format!("cut-{packet_bytes}-{skipped}.ts"));
    fs::write(&path, &whole[skipped..]).unwrap();
    path
}

#[test]
fn a_transport_stream_may_start_at_any_byte() {
    let source = part("to-be-cut.ts", 0..4, 0.0, "0");
    for (packet_bytes, skipped) in [
        (188, 0),
        (188, 1),
        (188, 4),
        (188, 47),
        (188, 187),
        (188, 188 * 40 + 100),
        // After the tables, within a frame.
        (188, 188 * 3),
        (188, 188 * 3 + 57),
        (192, 0),
        (192, 1),
        (192, 5),
        (192, 191),
        (192, 192 * 40 + 2),
        (204, 0),
        (204, 1),
        (204, 203),
        (204, 204 * 40 + 190),
    ] {
        let run = process(&cut(&source, packet_bytes, skipped), &recipe(MP4)).unwrap();
        let seen = run.frame_numbers(0);
        assert!(
            seen.len() > 90 && seen.last() == Some(&119),
            "{packet_bytes}, {skipped}: {seen:?}"
        );
        assert!(seen.is_sorted(), "{packet_bytes}, {skipped}: {seen:?}");
        let is_other = |warning: &&domain::plan::Warning| warning.code != WarningCode::SourceDamaged;
        assert!(
            !run.report.warnings.iter().any(|warning| is_other(&warning)),
            "{:?}",
            run.report.warnings
        );
    }
}

#[test]
fn a_stream_cut_inside_its_only_keyframe_is_transcoded() {
    let whole = numbered(
        "one-key.mp4",
        "-c:v libx264 -preset ultrafast -crf 4 -bf 2 -g 250 -pix_fmt yuv420p -t 4",
    );
    // A stream copy puts the SEI message of the encoder before the parameter sets. So these are in the second transport
    // packet of the first frame, or later.
    let source = clip_with("one-key.ts", &["-i", whole.to_str().unwrap(), "-c", "copy"]);
    // After SDT, PAT and PMT, within the transport packet in which the first frame begins.
    for (packet_bytes, skipped) in [(188, 188 * 3 + 57), (192, 192 * 3 + 100), (204, 204 * 3 + 20)] {
        let run = process(&cut(&source, packet_bytes, skipped), &recipe(MP4)).unwrap();
        let seen = run.frame_numbers(0);
        assert!(
            seen.len() > 110 && seen.last() == Some(&119),
            "{packet_bytes}: {seen:?}"
        );
        // There is no keyframe before these ranges, so decoding starts at the first byte. The first frames are lost, so
        // the last second is shorter.
        for (start, end) in [(1, 2), (2, 3), (3, 4)] {
            let json = format!(
                r#"{{"trim":{{"start":{start},"end":{end}}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}},
                    {{"kind":"poster","at_ms":500}},{{"kind":"gif","start_ms":500}}]}}"#
            );
            let run = process(&cut(&source, packet_bytes, skipped), &recipe(&json)).unwrap();
            let seen = run.frame_numbers(0);
            assert!(
                (25..=31).contains(&seen.len()) && seen.is_sorted(),
                "{packet_bytes}, {start}: {seen:?}"
            );
            assert!(seen[0].abs_diff(start * 30) <= 8, "{packet_bytes}, {start}: {seen:?}");
        }
    }
}

#[test]
fn a_trim_near_a_discontinuity_reports_no_loss() {
    let parts = [part("trim-a.ts", 0..3, 0.0, "100"), part("trim-b.ts", 3..6, 0.0, "10")];
    let source = joined("trim-joined.ts", &parts);
    for (start, end) in [(1, 2), (2, 3), (4, 5)] {
        let json =
            format!(r#"{{"trim":{{"start":{start},"end":{end}}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        assert!(run.plan.jumps, "{:?}", run.plan);
        assert!(run.report.warnings.is_empty(), "{start}: {:?}", run.report.warnings);
        assert!(
            run.frame_numbers(0)[0].abs_diff(start * 30) <= 1,
            "{start}: {:?}",
            run.frame_numbers(0)
        );
    }
}

#[test]
fn avi_with_empty_slots_keeps_the_real_frame_rate() {
    for (name, encoding) in [
        ("h264.avi", "-c:v libx264 -preset ultrafast -crf 4 -bf 0"),
        ("h264-b.avi", "-c:v libx264 -preset ultrafast -crf 4 -bf 2"),
        ("mpeg4.avi", "-c:v mpeg4 -q:v 1"),
    ] {
        for slots in ["1/30", "1/60"] {
            // With slots of 1/60 s, every second slot is empty.
            let name = format!("{}-{name}", slots.replace('/', "-"));
            let source = numbered(
                &name,
                &format!("{encoding} -pix_fmt yuv420p -enc_time_base {slots} -vsync passthrough"),
            );
            let run = process(&source, &recipe(MP4)).unwrap();
            assert_eq!((run.plan.fps.num, run.plan.fps.den), (30, 1), "{name}");
            assert_eq!(run.frame_numbers(0), (0..240).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn frames_before_the_first_keyframe_are_reported_as_lost() {
    let whole = numbered(
        "lost.ts",
        "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -g 60 -pix_fmt yuv420p",
    );
    let bytes = fs::read(&whole).unwrap();
    for part in [8, 5, 3] {
        let cut = whole.with_file_name(format!("lost-{part}.ts"));
        fs::write(&cut, &bytes[bytes.len() / part / 188 * 188..]).unwrap();
        let run = process(&cut, &recipe(MP4)).unwrap();
        let seen = run.frame_numbers(0);
        // The loss is the time from the cut to the first keyframe. What was cut off is unknown.
        let expected_ms = |lost: usize| lost * 1_000 / 30;
        let first = *seen.last().unwrap() + 1 - seen.iter().collect::<std::collections::BTreeSet<_>>().len();
        let cut_at = 240 / part;
        let lost = first.saturating_sub(cut_at);
        let warning = run
            .report
            .warnings
            .iter()
            .find(|warning| warning.code == WarningCode::SourceDamaged);
        let reported_ms: usize = warning
            .unwrap_or_else(|| panic!("1/{part}: {lost} frames lost without a warning, first {first}"))
            .detail
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            reported_ms.abs_diff(expected_ms(lost)) <= 400,
            "1/{part}: {reported_ms} ms reported, {lost} frames lost"
        );
    }
}
