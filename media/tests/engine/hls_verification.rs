//! Verification of HLS outputs: damage between transcode and verification is detected.

use crate::clips::clip;
use crate::harness::{Run, process, recipe};
use domain::Code;
use domain::protocol::VerifyDepth;
use media::engine::{self, Cancel};
use std::fs;
use std::path::Path;

/// An HLS output with two rungs and audio, four segments each.
fn hls_output(single_file: bool) -> Run {
    hls_output_of("hls-whole.mp4", "sine=d=4 -c:a aac", single_file)
}

fn hls_output_of(name: &str, audio: &str, single_file: bool) -> Run {
    let source = clip(
        name,
        &format!(
            "-f lavfi -i testsrc2=s=128x72:r=25:d=4 -f lavfi -i {audio} \
             -c:v libx264 -preset ultrafast -pix_fmt yuv420p"
        ),
    );
    let json =
        format!(r#"{{"outputs":[{{"kind":"hls","ladder":[72,36],"segment_ms":1000,"single_file":{single_file}}}]}}"#);
    process(&source, &recipe(&json)).unwrap()
}

/// Changes a valid output and verifies it again. Returns the detail of the failure, if any.
fn verify_after(run: &Run, damage: impl FnOnce(&Path)) -> Option<String> {
    let planned = &run.plan.outputs[0];
    damage(&run.scratch.path().join(&planned.file));
    let checked = engine::verify(
        run.scratch.path(),
        planned,
        &run.report.outputs[0],
        VerifyDepth::Fast,
        &Cancel::new(),
    );
    let verified =
        checked.and_then(|checked| domain::plan::verify(&run.plan, planned, &run.report.outputs[0], &checked));
    let failure = verified.err()?;
    assert_eq!(failure.code, Code::OutputInvalid);
    Some(failure.detail)
}

/// Exchanges two files.
fn swap(folder: &Path, one: &str, other: &str) {
    let temporary = folder.join("temporary");
    fs::rename(folder.join(one), &temporary).unwrap();
    fs::rename(folder.join(other), folder.join(one)).unwrap();
    fs::rename(&temporary, folder.join(other)).unwrap();
}

/// Replaces the first occurrence of a text in a file.
fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(folder.join(file), text.replacen(from, to, 1)).unwrap();
}

/// Removes the last bytes of a file.
fn truncate(folder: &Path, file: &str, bytes: usize) {
    let mut content = fs::read(folder.join(file)).unwrap();
    content.truncate(content.len() - bytes);
    fs::write(folder.join(file), content).unwrap();
}

#[test]
fn an_unmodified_hls_output_is_valid() {
    for single_file in [false, true] {
        assert_eq!(verify_after(&hls_output(single_file), |_| {}), None);
    }
}

#[test]
fn damage_at_the_end_of_the_only_segment_is_detected() {
    let short = "-f lavfi -i testsrc2=s=128x72:r=25:d=1.9 -c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    let recipe = recipe(r#"{"outputs":[{"kind":"hls","ladder":[72]}]}"#);
    let run = process(&clip("verified-short.mp4", short), &recipe).unwrap();
    let damage = |folder: &Path| {
        let segment = folder.join("72p-0001.m4s");
        let mut bytes = fs::read(&segment).unwrap();
        let length = bytes.len();
        bytes[length * 7 / 10..length * 17 / 20].fill(0xaa);
        fs::write(segment, bytes).unwrap();
    };
    let found = verify_after(&run, damage);
    assert!(
        found.as_ref().is_some_and(|detail| detail.contains("decode")),
        "{found:?}"
    );
}

#[test]
fn a_missing_file_is_detected() {
    for file in [
        "72p-0002.m4s",
        "36p-0004.m4s",
        "audio-0003.m4s",
        "36p-init.mp4",
        "audio.m3u8",
    ] {
        let detail = verify_after(&hls_output(false), |folder| fs::remove_file(folder.join(file)).unwrap());
        assert_eq!(detail, Some(format!("{file}: is missing")));
    }
}

#[test]
fn a_truncated_segment_is_detected() {
    for file in ["72p-0001.m4s", "36p-0004.m4s", "audio-0002.m4s"] {
        for bytes in [1, 40] {
            let detail = verify_after(&hls_output(false), |folder| truncate(folder, file, bytes));
            assert_eq!(detail, Some(format!("{file}: is incomplete")));
        }
    }
    let detail = verify_after(&hls_output(true), |folder| truncate(folder, "36p.mp4", 1));
    assert_eq!(detail.as_deref(), Some("36p.mp4: is incomplete"));
}

#[test]
fn damage_in_the_first_and_last_segment_is_detected() {
    for file in ["72p-0001.m4s", "36p-0004.m4s"] {
        let detail = verify_after(&hls_output(false), |folder| {
            let mut bytes = fs::read(folder.join(file)).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 40].fill(0xff);
            fs::write(folder.join(file), bytes).unwrap();
        });
        assert!(detail.is_some_and(|detail| detail.ends_with("decode errors")), "{file}");
    }
}

#[test]
fn a_muted_hls_output_is_detected() {
    for single_file in [false, true] {
        let silent = hls_output_of("hls-silent.mkv", "anullsrc=cl=mono:r=44100:d=4 -c:a flac", single_file);
        assert_eq!(verify_after(&silent, |_| {}), None, "a silent source may be silent");
        let audible = hls_output_of("hls-heard.mkv", "sine=d=4 -c:a flac", single_file);
        let detail = verify_after(&audible, |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::rename(silent.scratch.path().join(&silent.plan.outputs[0].file), folder).unwrap();
        });
        assert!(detail.is_some_and(|detail| detail.contains("too quiet")));
    }
}

#[test]
fn swapped_segments_are_detected() {
    for rendition in ["72p", "audio"] {
        let detail = verify_after(&hls_output(false), |folder| {
            swap(
                folder,
                &format!("{rendition}-0002.m4s"),
                &format!("{rendition}-0003.m4s"),
            );
        });
        assert!(detail.is_some(), "{rendition}");
    }
    let both = verify_after(&hls_output(false), |folder| {
        swap(folder, "72p-0001.m4s", "72p-0004.m4s");
        swap(folder, "36p-0001.m4s", "36p-0004.m4s");
    });
    assert!(both.is_some());
}

#[test]
fn swapped_rungs_are_detected() {
    let playlists = verify_after(&hls_output(false), |folder| swap(folder, "72p.m3u8", "36p.m3u8"));
    let inits = verify_after(&hls_output(false), |folder| {
        swap(folder, "72p-init.mp4", "36p-init.mp4");
    });
    let one = verify_after(&hls_output(false), |folder| {
        swap(folder, "72p-0002.m4s", "36p-0002.m4s");
    });
    let files = verify_after(&hls_output(true), |folder| swap(folder, "72p.mp4", "36p.mp4"));
    let all = verify_after(&hls_output(false), |folder| {
        for n in 1..=4 {
            swap(folder, &format!("72p-000{n}.m4s"), &format!("36p-000{n}.m4s"));
        }
        swap(folder, "72p-init.mp4", "36p-init.mp4");
    });
    let details = [playlists, inits, one, files, all];
    assert!(details.iter().all(Option::is_some), "{details:?}");
}

#[test]
fn a_wrong_playlist_is_detected() {
    for (file, from, to) in [
        ("master.m3u8", "RESOLUTION=128x72", "RESOLUTION=128x74"),
        ("master.m3u8", ":BANDWIDTH=", ":BANDWIDTH=1"),
        ("master.m3u8", "avc1.64", "avc1.4d"),
        ("master.m3u8", "36p.m3u8", "72p.m3u8"),
        ("master.m3u8", "CHANNELS=\"1\"", "CHANNELS=\"2\""),
        ("36p.m3u8", "#EXTINF:1.000000", "#EXTINF:0.900000"),
        ("36p.m3u8", "#EXT-X-ENDLIST\n", ""),
        ("72p.m3u8", "72p-0002.m4s", "../hls/72p-0002.m4s"),
        ("72p.m3u8", "72p-0002.m4s", "36p-0002.m4s"),
        ("audio.m3u8", "TARGETDURATION:2", "TARGETDURATION:3"),
    ] {
        let detail = verify_after(&hls_output(false), |folder| edit(folder, file, from, to));
        assert!(detail.is_some(), "{file}: {to}");
    }
    for (from, to) in [("BYTERANGE:", "BYTERANGE:1"), ("@0\"", "@1\"")] {
        let detail = verify_after(&hls_output(true), |folder| edit(folder, "36p.m3u8", from, to));
        assert!(detail.is_some(), "{to}");
    }
}
