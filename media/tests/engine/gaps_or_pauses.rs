//! Long steps that are no holes: recorders that pause, pictures that stand, and files that are joined to others of another clock.

use crate::clips::clip_with;
use crate::discontinuities::{joined, part};
use crate::gaps::{H264, film, losses, told};
use crate::harness::{process, recipe};
use domain::plan::{Done, WarningCode};
use std::fs;
use std::path::{Path, PathBuf};

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;
const AUDIO: &str = r#"{"outputs":[{"kind":"audio"}]}"#;
const TONE: &str = "sine=440:d=5:r=48000";

fn tells_no_loss(source: &Path, json: &str) {
    let run = process(source, &recipe(json)).unwrap();
    assert_eq!(losses(&run), [""; 0], "{}", source.display());
}

#[test]
fn a_paused_recording_has_no_gap() {
    // Both streams stop for 5 s.
    let pause = "if(gte(T,4),T+5,T)/TB";
    let paused = format!("-vf setpts='{pause}' -af asetpts='{pause}' -vsync vfr -t 13 {H264}");
    let source = film("paused.mp4", &format!("{paused} -c:a aac"));
    tells_no_loss(&source, MP4);
    // A microphone that is muted under a slide that stands about as long.
    let muted = "-vf select='not(between(t,2.02,5.5))' -af aselect='not(between(t,2.3,5.3))' -vsync vfr";
    let source = film("muted.webm", &format!("{muted} {H264} -f matroska -c:a libopus"));
    tells_no_loss(&source, MP4);
}

#[test]
fn only_audio_is_encoded_when_only_audio_has_a_gap() {
    let source = film(
        "sound-hole-copied.mp4",
        &format!("-af aselect='not(between(t,3.2,5.4))' {H264} -c:a aac"),
    );
    let run = process(&source, &recipe(MP4)).unwrap();
    let steps = run.plan.outputs[0].steps.iter();
    let done: Vec<_> = steps.map(|step| (step.stream.as_str(), step.done)).collect();
    assert!(done.contains(&("video", Done::Copy)), "{:?}", run.plan.outputs[0].steps);
    assert!(
        done.contains(&("audio", Done::Transcode)),
        "{:?}",
        run.plan.outputs[0].steps
    );
    let [(lost, at)] = told(&run, WarningCode::SoundShortened)[..] else {
        panic!("{:?}", run.report.warnings)
    };
    assert!((lost - 2.2).abs() < 0.1 && (at - 3.2).abs() < 0.1, "{lost} at {at}");
}

/// A transport stream that begins inside of a group of pictures.
fn without_its_beginning(source: &Path) -> PathBuf {
    let bytes = fs::read(source).unwrap();
    let path = source.with_file_name("begins-inside.ts");
    fs::write(&path, &bytes[bytes.len() / 5 / 188 * 188..]).unwrap();
    path
}

#[test]
fn a_concatenated_transport_stream_starting_inside_a_gop_has_no_long_gap() {
    let first = part("joined-first.ts", (0, 3), 0.0, "5");
    let second = without_its_beginning(&part("joined-second.ts", (3, 6), 0.0, "50000"));
    let run = process(&joined("joined-inside.ts", &[first, second]), &recipe(MP4)).unwrap();
    // Until the next keyframe nothing decodes, which is told.
    for (lost, _) in told(&run, WarningCode::SourceDamaged) {
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
            tells_no_loss(&source, AUDIO);
        }
    }
}

/// Moves the times of all tags of an FLV behind `from_ms` by `by_ms`, as a server does whose sender begins a new clock.
fn with_new_clock(source: &Path, from_ms: u32, by_ms: u32) -> PathBuf {
    let mut bytes = fs::read(source).unwrap();
    let mut index = 13;
    while index + 11 < bytes.len() {
        let tag = &mut bytes[index..index + 11];
        let body = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]);
        let ms = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
        if ms >= from_ms {
            let [high, rest @ ..] = (ms + by_ms).to_be_bytes();
            tag[4..7].copy_from_slice(&rest);
            tag[7] = high;
        }
        index += 11 + usize::try_from(body).unwrap() + 4;
    }
    // Recorders write the last time as the length.
    let key = b"\x00\x08duration\x00";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    bytes[at..at + 8].copy_from_slice(&(8.0 + f64::from(by_ms) / 1_000.0).to_be_bytes());
    let path = source.with_file_name(format!("new-clock-{by_ms}.flv"));
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_recorded_stream_with_a_forward_timestamp_jump_has_no_gap() {
    let source = film("set-forward.flv", &format!("{H264} -c:a aac"));
    for by_ms in [12_000, 5_000_000] {
        // At a keyframe, and inside of a group.
        for from_ms in [4_000, 4_500] {
            tells_no_loss(&with_new_clock(&source, from_ms, by_ms), MP4);
        }
    }
}
