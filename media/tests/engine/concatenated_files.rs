//! Sources that consist of two concatenated files: the probe measures both, and both are transcoded.

use crate::clips::{clip_with, frame_number, numbered, numbered_with_audio};
use crate::discontinuities::joined;
use crate::gaps::loss_details;
use crate::harness::{probe, process, recipe};
use domain::plan::StreamAction;
use std::fs;
use std::path::{Path, PathBuf};

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -g 15 -pix_fmt yuv420p -t 3";
const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

/// Asserts that the probed duration is that of both files, six seconds.
fn assert_duration_of_both(name: &str, source: &Path) {
    let facts = probe(source).unwrap();
    let error_us = facts.duration_us.abs_diff(6_000_000);
    assert!(error_us < 200_000, "{name}: {}", facts.duration_us);
}

#[test]
fn video_of_a_second_file_is_shown_seekable_and_counted() {
    for (name, encoding) in [
        ("joined.mkv", H264.to_owned()),
        (
            "joined.webm",
            "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M -g 15 -t 3".to_owned(),
        ),
        ("joined.avi", "-c:v mpeg4 -q:v 2 -g 15 -t 3".to_owned()),
    ] {
        let single = numbered(&format!("single-{name}"), &encoding);
        let source = joined(name, &[single.clone(), single]);
        assert_duration_of_both(name, &source);
        let numbers = |json: &str| {
            let run = process(&source, &recipe(json)).unwrap();
            let (frames, width, height) = run.luma(0);
            let numbers = frames.iter().map(|luma| frame_number(luma, width, height));
            numbers.collect::<Vec<_>>()
        };
        let all = numbers(MP4);
        assert!(all.len().abs_diff(180) <= 3, "{name}: {} frames", all.len());
        assert!(all[60] == 60 && all[150].abs_diff(60) <= 2, "{name}: {all:?}");
        let trimmed = numbers(r#"{"trim":{"start":4,"end":5},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#);
        assert_eq!(trimmed.len(), 30, "{name}");
        assert!(trimmed[0].abs_diff(30) <= 3, "{name}: {trimmed:?}");
    }
}

#[test]
fn audio_of_a_second_file_is_decoded_seekable_and_counted() {
    let audio = "sine=440:d=3:r=48000";
    for (name, codec) in [
        ("joined.mka", "aac"),
        ("joined.flac", "flac"),
        ("joined.ogg", "libvorbis"),
        ("joined.mp3", "libmp3lame"),
        ("joined.aac", "aac"),
    ] {
        let single = clip_with(&format!("single-{name}"), &["-f", "lavfi", "-i", audio, "-c:a", codec]);
        let source = joined(name, &[single.clone(), single]);
        assert_duration_of_both(name, &source);
        let run = process(
            &source,
            &recipe(r#"{"trim":{"start":4,"end":5},"outputs":[{"kind":"audio"}]}"#),
        )
        .unwrap();
        let samples = run.samples(0);
        assert!(
            samples.len().abs_diff(48_000) < 2_400,
            "{name}: {} samples",
            samples.len()
        );
        let audio_peak = samples
            .iter()
            .fold(0.0_f32, |audio_peak, sample| audio_peak.max(sample.abs()));
        assert!(audio_peak > 0.05, "{name}: {audio_peak}");
    }
}

#[test]
fn concatenated_audio_has_the_length_of_all_files_and_none_of_their_headers() {
    let beeps = "aevalsrc=exprs='if(between(mod(t,1),0.5,0.6),0.8*sin(2*PI*1000*t),0)':d=3:s=48000";
    for (name, codec, options) in [
        ("length.opus", "libopus", &[][..]),
        ("length.flac", "flac", &[]),
        ("length.oga", "flac", &["-f", "ogg"]),
        ("length.spx", "libspeex", &["-ar", "32000", "-f", "ogg"]),
    ] {
        let arguments = [&["-f", "lavfi", "-i", beeps, "-c:a", codec][..], options].concat();
        let single = clip_with(&format!("single-{name}"), &arguments);
        let source = joined(name, &[single.clone(), single.clone(), single]);
        let facts = probe(&source).unwrap();
        // A link of Speex begins with samples before 0.
        let tolerance_us = if codec == "libspeex" { 40_000 } else { 100 };
        assert!(
            facts.duration_us.abs_diff(9_000_000) <= tolerance_us,
            "{name}: {}",
            facts.duration_us
        );
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio","format":"opus"}]}"#)).unwrap();
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
        let samples = u64::try_from(run.samples(0).len()).unwrap();
        assert!(
            samples.abs_diff(9 * 48_000) <= tolerance_us * 48 / 1_000 + 1,
            "{name}: {samples}"
        );
        let beeps = run.beeps_ms(0);
        let is_misplaced = |(number, ms): (usize, &usize)| ms.abs_diff(500 + 1_000 * number) > 30;
        assert!(
            beeps.len() == 9 && !beeps.iter().enumerate().any(is_misplaced),
            "{name}: {beeps:?}"
        );
    }
}

#[test]
fn missing_frames_of_concatenated_flac_are_reported() {
    let audio = "sine=440:d=3:r=48000";
    let single = clip_with("whole.flac", &["-f", "lavfi", "-i", audio, "-c:a", "flac"]);
    let bytes = fs::read(&single).unwrap();
    let cut = single.with_file_name("cut-joined.flac");
    fs::write(&cut, [&bytes[..], &bytes[..bytes.len() * 6 / 10]].concat()).unwrap();
    let run = process(&cut, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
    let [detail] = loss_details(&run)[..] else {
        panic!("{:?}", run.report.warnings)
    };
    let lost_ms: u32 = detail.split(' ').next().unwrap().parse().unwrap();
    assert!((1_000..1_800).contains(&lost_ms), "{detail}");
}

#[test]
fn concatenated_files_of_different_lengths_are_counted() {
    for (name, codec) in [("uneven.mkv", "libx264 -preset ultrafast"), ("uneven.avi", "mpeg4")] {
        let single = |seconds: u32| {
            let encoding = format!("-c:v {codec} -g 15 -bf 0 -t {seconds}");
            numbered(&format!("{seconds}-{name}"), &encoding)
        };
        // The AVI demuxer of FFmpeg stops early when the second file is shorter.
        let durations_s: &[(u32, u32)] = if name.ends_with("avi") {
            &[(1, 6)]
        } else {
            &[(1, 6), (6, 1)]
        };
        for (first, second) in durations_s.iter().copied() {
            let name = format!("{first}-{second}-{name}");
            let facts = probe(&joined(&name, &[single(first), single(second)])).unwrap();
            let error_us = facts.duration_us.abs_diff(7_000_000);
            assert!(error_us < 200_000, "{name}: {}", facts.duration_us);
        }
    }
}

#[test]
fn concatenated_files_are_not_copied() {
    let single = numbered("single-copied.mkv", H264);
    let source = joined("joined-copied.mkv", &[single.clone(), single]);
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let step = &run.plan.outputs[0].steps[0];
    assert_eq!(step.action, StreamAction::Transcode, "{step:?}");
    assert!(step.reason.contains("are not reliable"), "{step:?}");
    assert!(run.plan.jumps, "{:?}", run.plan);
}

/// Eight seconds of audio with a beep every second, in two halves of different sample rates.
fn halves(name: &str, codec: &str, rates_hz: [u32; 2], extra: &str) -> PathBuf {
    let half = |number: usize| {
        let rate = rates_hz[number].to_string();
        let audio =
            "aevalsrc=exprs='if(between(mod(t,1),0.5,0.6),0.8*sin(2*PI*1000*t),0.01*sin(2*PI*300*t))':d=4:s=48000";
        let mut arguments = vec!["-f", "lavfi", "-i", audio, "-c:a", codec, "-ar", &rate];
        if number == 1 {
            arguments.extend(extra.split_whitespace());
        }
        clip_with(&format!("half-{number}-{rate}-{name}"), &arguments)
    };
    joined(&format!("{}-{}-{name}", rates_hz[0], rates_hz[1]), &[half(0), half(1)])
}

#[test]
fn a_sample_rate_that_changes_keeps_duration_and_positions() {
    for (name, codec) in [("rates.aac", "aac"), ("rates.ogg", "libvorbis"), ("rates.flac", "flac")] {
        for (rates_hz, extra) in [
            ([22_050, 44_100], ""),
            ([44_100, 48_000], ""),
            ([48_000, 44_100], ""),
            ([44_100, 22_050], "-ac 2"),
        ] {
            // The FLAC parser of FFmpeg mixes frames where the number of channels changes.
            if name.ends_with("flac") && !extra.is_empty() {
                continue;
            }
            let source = halves(name, codec, rates_hz, extra);
            let facts = probe(&source).unwrap();
            let named = format!("{name} {rates_hz:?}");
            let error_us = facts.duration_us.abs_diff(8_000_000);
            assert!(error_us < 150_000, "{named}: {}", facts.duration_us);
            // Opus is always at 48 kHz.
            let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio","format":"opus"}]}"#)).unwrap();
            assert!(run.report.warnings.is_empty(), "{named}: {:?}", run.report.warnings);
            let length_ms = run.samples(0).len() / 48;
            assert!(length_ms.abs_diff(8_000) < 400, "{named}: {length_ms} ms");
            let beeps = run.beeps_ms(0);
            assert_eq!(beeps.len(), 8, "{named}: {beeps:?}");
            let steps: Vec<_> = beeps.windows(2).map(|pair| pair[1] - pair[0]).collect();
            for (place, step) in steps.iter().enumerate() {
                // Between the halves is what encoders put before and after the audio.
                let tolerance_ms = if place == 3 { 400 } else { 5 };
                assert!(step.abs_diff(1_000) <= tolerance_ms, "{named}: {beeps:?}");
            }
        }
    }
}

#[test]
fn a_granule_position_that_is_too_small_at_the_end_of_vorbis_is_not_a_duration() {
    let audio = "sine=440:d=4:r=48000";
    let whole = clip_with("granule.ogg", &["-f", "lavfi", "-i", audio, "-c:a", "libvorbis"]);
    let mut bytes = fs::read(&whole).unwrap();
    let page = bytes.windows(4).rposition(|magic| magic == b"OggS").unwrap();
    let granule = page + 6..page + 14;
    let end = i64::from_le_bytes(bytes[granule.clone()].try_into().unwrap());
    bytes[granule].copy_from_slice(&(end - 60_000).to_le_bytes());
    // The checksum of a page is computed with a checksum of 0 (RFC 3533 §6).
    bytes[page + 22..page + 26].fill(0);
    let checksum = bytes[page..].iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    });
    bytes[page + 22..page + 26].copy_from_slice(&checksum.to_le_bytes());
    let source = whole.with_file_name("small-granule.ogg");
    fs::write(&source, &bytes).unwrap();
    let facts = probe(&source).unwrap();
    assert!(facts.duration_us.abs_diff(4_000_000) < 50_000, "{}", facts.duration_us);
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
    assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
    assert!(
        run.samples(0).len().abs_diff(4 * 48_000) < 2_400,
        "{}",
        run.samples(0).len()
    );
}

#[test]
fn concatenated_matroska_with_b_frames_loses_no_frame() {
    let encoding = "-c:v libx264 -preset ultrafast -crf 4 -bf 2 -g 15 -pix_fmt yuv420p -c:a aac -t 3";
    let audio = "if(between(mod(t,1),0.5,0.6),0.8*sin(2*PI*1000*t),0)";
    let single = numbered_with_audio(audio, "single-b-frames.mkv", encoding);
    let source = joined("joined-b-frames.mkv", &[single.clone(), single]);
    let run = process(&source, &recipe(MP4)).unwrap();
    assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
    let seen = run.frame_numbers(0);
    let expected: Vec<_> = (0..90).chain(0..90).collect();
    let missing = expected.iter().zip(&seen).filter(|(one, two)| one != two).count();
    assert!(missing == 0 && seen.len().abs_diff(180) <= 1, "{seen:?}");
    let beeps = run.beeps_ms(0);
    assert_eq!(beeps.len(), 6, "{beeps:?}");
    for (number, beep) in beeps.iter().enumerate() {
        assert!(beep.abs_diff(500 + number * 1_000) <= 50, "{beeps:?}");
    }
}

#[test]
fn all_frames_of_a_shorter_avi_behind_another_one_are_shown() {
    for audio in ["-an", "-c:a mp3"] {
        let tone = "0.3*sin(2*PI*440*t)";
        let part = |seconds: u32| {
            let encoding = format!("-c:v mpeg4 -q:v 2 -g 15 -bf 0 {audio} -t {seconds}");
            numbered_with_audio(tone, &format!("{seconds}.avi"), &encoding)
        };
        let run = process(&joined("6-1.avi", &[part(6), part(1)]), &recipe(MP4)).unwrap();
        let numbers = run.frame_numbers(0);
        assert!(
            numbers.len().abs_diff(210) <= 2,
            "{audio}: {} {:?} {numbers:?} {}",
            numbers.len(),
            run.report.warnings,
            run.probe.duration_us
        );
    }
}

#[test]
fn a_second_file_that_is_not_read_is_reported() {
    let tone = "0.3*sin(2*PI*440*t)";
    let source = |name: &str, encoding: &str| numbered_with_audio(tone, name, encoding);
    let opus = source("opus.ogg", "-vn -c:a libopus -b:a 128k");
    let vorbis = source("vorbis.ogg", "-vn -c:a libvorbis -b:a 128k");
    let flv = source("one.flv", &format!("{H264} -c:a aac -b:a 128k"));
    let wmv = source("one.wmv", "-c:v wmv2 -q:v 2 -c:a wmav2 -b:a 128k");
    let ogv = source("one.ogv", "-c:v libtheora -q:v 6 -c:a libvorbis -b:a 128k");
    let mp4 = source("one.mp4", &format!("{H264} -c:a aac"));
    let fragments = source(
        "fragments.mp4",
        &format!("{H264} -c:a aac -movflags +frag_keyframe+empty_moov"),
    );
    let audio = r#"{"outputs":[{"kind":"audio"}]}"#;
    for (name, parts, json) in [
        ("joined.mp4", [&mp4, &mp4], MP4),
        ("joined-fragments.mp4", [&fragments, &fragments], MP4),
        ("fragments-first.mp4", [&fragments, &mp4], MP4),
        ("fragments-second.mp4", [&mp4, &fragments], MP4),
        ("joined.flv", [&flv, &flv], MP4),
        ("joined.wmv", [&wmv, &wmv], MP4),
        ("joined.ogv", [&ogv, &ogv], MP4),
        ("joined.ogg", [&opus, &vorbis], audio),
    ] {
        let whole = process(parts[0], &recipe(json)).unwrap();
        assert_eq!(loss_details(&whole), [""; 0], "{name}");
        let run = process(&joined(name, &parts.map(Clone::clone)), &recipe(json));
        let run = run.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        let [detail] = loss_details(&run)[..] else {
            panic!("{name}: {:?}", run.report.warnings)
        };
        // The header of an Ogg may tell the length of both files.
        let is_told =
            detail.contains("bytes of the file were not read") || (name.contains(".og") && detail.starts_with("80"));
        assert!(is_told, "{name}: {detail}");
    }
    let same = joined("same.ogg", &[vorbis.clone(), vorbis]);
    let run = process(&same, &recipe(audio)).unwrap();
    assert_eq!(loss_details(&run), [""; 0]);
}
