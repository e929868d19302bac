//! Long timestamp steps that are not gaps: paused recordings, still frames, and concatenated files with other
//! timestamps.

use crate::clips::clip_with;
use crate::discontinuities::{joined, part};
use crate::gaps::{H264, loss_details, numbered_with_beeps, reported_gaps};
use crate::harness::{process, recipe};
use domain::plan::{StreamAction, WarningCode};
use std::fs;
use std::path::{Path, PathBuf};

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;
const AUDIO: &str = r#"{"outputs":[{"kind":"audio"}]}"#;
const TONE: &str = "sine=440:d=5:r=48000";

fn assert_no_loss_reported(source: &Path, json: &str) {
    let run = process(source, &recipe(json)).unwrap();
    assert_eq!(loss_details(&run), [""; 0], "{}", source.display());
}

#[test]
fn a_paused_recording_has_no_gap() {
    // The timestamps of both streams step by 5 s.
    let pause = "if(gte(T,4),T+5,T)/TB";
    let paused = format!("-vf setpts='{pause}' -af asetpts='{pause}' -vsync vfr -t 13 {H264}");
    let source = numbered_with_beeps("paused.mp4", &format!("{paused} -c:a aac"));
    assert_no_loss_reported(&source, MP4);
    // The audio pauses while a frame is shown for about as long.
    let muted = "-vf select='not(between(t,2.02,5.5))' -af aselect='not(between(t,2.3,5.3))' -vsync vfr";
    let source = numbered_with_beeps("muted.webm", &format!("{muted} {H264} -f matroska -c:a libopus"));
    assert_no_loss_reported(&source, MP4);
}

#[test]
fn only_audio_is_encoded_when_only_audio_has_a_gap() {
    let source = numbered_with_beeps(
        "audio-gap-copied.mp4",
        &format!("-af aselect='not(between(t,3.2,5.4))' {H264} -c:a aac"),
    );
    let run = process(&source, &recipe(MP4)).unwrap();
    let steps = run.plan.outputs[0].steps.iter();
    let done: Vec<_> = steps.map(|step| (step.stream.as_str(), step.action)).collect();
    assert!(
        done.contains(&("video", StreamAction::Copy)),
        "{:?}",
        run.plan.outputs[0].steps
    );
    assert!(
        done.contains(&("audio", StreamAction::Transcode)),
        "{:?}",
        run.plan.outputs[0].steps
    );
    let [(lost, at)] = reported_gaps(&run, WarningCode::SoundShortened)[..] else {
        panic!("{:?}", run.report.warnings)
    };
    assert!((lost - 2.2).abs() < 0.1 && (at - 3.2).abs() < 0.1, "{lost} at {at}");
}

/// A copy of a transport stream that starts within a GOP.
fn without_start(source: &Path) -> PathBuf {
    let bytes = fs::read(source).unwrap();
    let path = source.with_file_name("begins-inside.ts");
    fs::write(&path, &bytes[bytes.len() / 5 / 188 * 188..]).unwrap();
    path
}

#[test]
fn a_concatenated_transport_stream_starting_inside_a_gop_has_no_long_gap() {
    let first = part("joined-first.ts", 0..3, 0.0, "5");
    let second = without_start(&part("joined-second.ts", 3..6, 0.0, "50000"));
    let run = process(&joined("joined-inside.ts", &[first, second]), &recipe(MP4)).unwrap();
    // The frames before the next keyframe are reported as lost.
    for (lost, _) in reported_gaps(&run, WarningCode::SourceDamaged) {
        assert!(lost < 1.0, "{:?}", run.report.warnings);
    }
}

#[test]
fn chained_ogg_with_a_timestamp_offset_has_no_gap() {
    for codec in ["libopus", "libvorbis", "flac"] {
        for offset in ["15", "50000"] {
            let link = |offset: &str| {
                let arguments = ["-f", "lavfi", "-i", TONE, "-c:a", codec, "-output_ts_offset", offset];
                clip_with(&format!("link-{codec}-{offset}.ogg"), &arguments)
            };
            let source = joined(&format!("chained-{codec}-{offset}.ogg"), &[link("0"), link(offset)]);
            assert_no_loss_reported(&source, AUDIO);
        }
    }
}

/// A copy of an FLV with the timestamps from `from_ms` on moved by `by_ms`, as recorders write when the sender
/// restarts.
fn with_timestamp_jump(source: &Path, from_ms: u32, by_ms: u32) -> PathBuf {
    let mut bytes = fs::read(source).unwrap();
    let mut offset = 13;
    while offset + 11 < bytes.len() {
        let tag = &mut bytes[offset..offset + 11];
        let body = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]);
        let ms = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
        if ms >= from_ms {
            let [high, rest @ ..] = (ms + by_ms).to_be_bytes();
            tag[4..7].copy_from_slice(&rest);
            tag[7] = high;
        }
        offset += 11 + usize::try_from(body).unwrap() + 4;
    }
    // The `duration` in the metadata is the last timestamp.
    let key = b"\x00\x08duration\x00";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    bytes[at..at + 8].copy_from_slice(&(8.0 + f64::from(by_ms) / 1_000.0).to_be_bytes());
    let path = source.with_file_name(format!("timestamp-jump-{by_ms}.flv"));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_recorded_stream_with_a_forward_timestamp_jump_has_no_gap() {
    let source = numbered_with_beeps("set-forward.flv", &format!("{H264} -c:a aac"));
    for by_ms in [12_000, 5_000_000] {
        // At a keyframe, and within a GOP.
        for from_ms in [4_000, 4_500] {
            assert_no_loss_reported(&with_timestamp_jump(&source, from_ms, by_ms), MP4);
        }
    }
}
