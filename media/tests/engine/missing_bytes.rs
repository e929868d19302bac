//! Sources that lack bytes where neither a decoder nor a gap in one stream alone shows it: whole fragments, clusters
//! and pages, and the end of a file.

use crate::clips::{clip, numbered, temp_file};
use crate::gaps::{
    H264, assert_beeps_in_position, loss_details, numbered_with_beeps, reported_gaps, without_fragments,
    without_middle, written,
};
use crate::harness::{process, recipe};
use domain::plan::WarningCode;
use std::fs;
use std::path::{Path, PathBuf};

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const AUDIO: &str = r#"{"outputs":[{"kind":"audio"}]}"#;
const FRAGMENTS: &str = "-movflags +frag_keyframe+empty_moov+default_base_moof";

/// The warnings about losses of a file with these bytes.
fn details(name: &str, bytes: &[u8], json: &str) -> Vec<String> {
    let (_folder, path) = temp_file(name, bytes);
    let run = process(&path, &recipe(json)).unwrap();
    loss_details(&run).into_iter().map(str::to_owned).collect()
}

/// Offsets of a byte string.
fn offsets(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    let found = bytes.windows(pattern.len()).enumerate();
    found
        .filter(|(_, window)| *window == pattern)
        .map(|(offset, _)| offset)
        .collect()
}

/// Asserts that one gap is reported, with its length and position in seconds.
fn assert_gap(source: &Path, json: &str, expected: (f64, f64)) {
    let run = process(source, &recipe(json)).unwrap();
    let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
        panic!("{}: {:?}", source.display(), run.report.warnings)
    };
    assert!(
        (lost - expected.0).abs() < 0.15 && (at - expected.1).abs() < 0.15,
        "{}: {lost} at {at}",
        source.display()
    );
}

/// A copy of a fragmented MP4 whose fourth `moof` box has a header of zeros.
fn without_fragment_header(source: &Path) -> PathBuf {
    let mut bytes = fs::read(source).unwrap();
    let at = offsets(&bytes, b"moof")[3] - 4;
    bytes[at..at + 8].fill(0);
    written(source, "header", &bytes)
}

/// A copy of a Matroska file without these clusters.
fn without_clusters(source: &Path, clusters: std::ops::Range<usize>) -> PathBuf {
    let bytes = fs::read(source).unwrap();
    let starts = offsets(&bytes, b"\x1f\x43\xb6\x75");
    let rest = [&bytes[..starts[clusters.start]], &bytes[starts[clusters.end]..]].concat();
    written(source, &format!("clusters-{}", clusters.len()), &rest)
}

#[test]
fn missing_fragments_and_clusters_are_reported_although_the_audio_may_pause() {
    let fragments = numbered_with_beeps(
        "opus-fragments.mp4",
        &format!("{H264} -c:a libopus -b:a 128k -strict experimental {FRAGMENTS}"),
    );
    let short = numbered_with_beeps(
        "short-opus-fragments.mp4",
        &format!("{H264} -g 15 -c:a libopus -b:a 128k -strict experimental {FRAGMENTS}"),
    );
    let clusters = numbered_with_beeps(
        "opus-clusters.mkv",
        &format!("{H264} -g 15 -c:a libopus -b:a 128k -cluster_time_limit 500"),
    );
    for whole in [&fragments, &short, &clusters] {
        let run = process(whole, &recipe(MP4)).unwrap();
        assert_eq!(loss_details(&run), [""; 0], "{}", whole.display());
    }
    assert_gap(&without_fragments(&fragments), MP4, (2.0, 2.0));
    assert_gap(&without_fragment_header(&fragments), MP4, (1.0, 3.0));
    // Shorter than a pause of the codec may be.
    assert_gap(&without_fragment_header(&short), MP4, (0.5, 1.5));
    assert_gap(&without_clusters(&clusters, 4..8), MP4, (2.0, 2.0));
    assert_gap(&without_clusters(&clusters, 4..5), MP4, (0.5, 2.0));
}

#[test]
fn missing_fragments_and_pages_of_video_without_audio_are_reported() {
    let fragments = numbered("alone-fragments.mp4", &format!("{H264} {FRAGMENTS}"));
    assert_gap(&without_fragments(&fragments), MP4, (2.0, 2.0));
    assert_gap(&without_fragment_header(&fragments), MP4, (1.0, 3.0));
    let theora = clip(
        "alone.ogv",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=12 -c:v libtheora -q:v 8 -g 25",
    );
    let whole = process(&theora, &recipe(MP4)).unwrap();
    assert_eq!(loss_details(&whole), [""; 0]);
    let run = process(&without_middle(&theora), &recipe(MP4)).unwrap();
    let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
        panic!("{:?}", run.report.warnings)
    };
    assert!((2.5..5.5).contains(&lost) && (3.0..5.0).contains(&at), "{lost} at {at}");
}

#[test]
fn missing_pages_of_flac_in_ogg_are_reported_and_later_audio_is_in_position() {
    let source = numbered_with_beeps("pages.ogg", "-vn -c:a flac");
    let whole = process(&source, &recipe(AUDIO)).unwrap();
    assert_eq!(loss_details(&whole), [""; 0]);
    let run = process(&without_middle(&source), &recipe(AUDIO)).unwrap();
    assert_beeps_in_position(&run, "flac");
    let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
        panic!("{:?}", run.report.warnings)
    };
    assert!((1.0..4.5).contains(&lost) && (1.0..3.5).contains(&at), "{lost} at {at}");
}

#[test]
fn a_file_behind_a_matroska_of_unknown_size_is_reported_as_unread() {
    let live = fs::read(numbered("live.mkv", &format!("{H264} -t 3 -live 1"))).unwrap();
    let more = fs::read(numbered("after-live.mkv", &format!("{H264} -t 4"))).unwrap();
    assert_eq!(details("live.mkv", &live, MP4), [""; 0]);
    let found = details("joined.mkv", &[&live[..], &more].concat(), MP4);
    let expected = format!("the last {} bytes of the file were not read", more.len());
    assert_eq!(found, [expected]);
}

#[test]
fn a_file_that_is_cut_a_few_bytes_before_its_end_is_reported() {
    let mp4 = fs::read(numbered("cut-fragments.mp4", &format!("{H264} {FRAGMENTS}"))).unwrap();
    let mkv = fs::read(numbered_with_beeps("cut.mkv", &format!("{H264} -c:a aac"))).unwrap();
    let live = fs::read(numbered_with_beeps(
        "live-cut.mkv",
        &format!("{H264} -c:a libopus -live 1"),
    ))
    .unwrap();
    let index = offsets(&mp4, b"mfra")[0] - 4;
    let last = *offsets(&mp4, b"moof").last().unwrap() - 4;
    let cues = *offsets(&mkv, b"\x1c\x53\xbb\x6b").last().unwrap();
    for (name, whole, cut) in [
        ("box.mp4", &mp4, mp4[..index - 5].to_vec()),
        ("samples.mp4", &mp4, mp4[..last + 200].to_vec()),
        // The list of fragments is still there.
        ("list.mp4", &mp4, [&mp4[..last], &mp4[index..]].concat()),
        ("segment.mkv", &mkv, mkv[..cues - 5].to_vec()),
        ("block.mkv", &live, live[..live.len() - 5].to_vec()),
    ] {
        assert_eq!(details(name, whole, MP4), [""; 0], "{name}");
        let found = details(name, &cut, MP4);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn packets_of_another_codec_in_a_joined_file_are_left_out_and_reported() {
    let single = |codec: &str, extra: &str| {
        let encoding = format!("{H264} -t 4 -c:a {codec} {extra}");
        fs::read(numbered_with_beeps(&format!("single-{codec}.mkv"), &encoding)).unwrap()
    };
    let (pcm, aac) = (single("pcm_s16le", ""), single("aac", ""));
    let path = numbered("codecs.mkv", H264);
    for (name, bytes) in [
        ("pcm-aac.mkv", [&pcm[..], &aac].concat()),
        ("aac-pcm.mkv", [&aac[..], &pcm].concat()),
        ("ac3-aac.mkv", [&single("ac3", "")[..], &aac].concat()),
        (
            "live.mkv",
            [&single("pcm_s16le", "-live 1")[..], &single("libopus", "-live 1")].concat(),
        ),
        ("rates.mkv", [&pcm[..], &single("pcm_s24le", "")].concat()),
    ] {
        let source = written(&path, name, &bytes);
        let run = process(&source, &recipe(MP4)).unwrap();
        let numbers = run.frame_numbers(0);
        assert!(
            numbers.len().abs_diff(240) < 4 && numbers[200].abs_diff(80) < 3,
            "{name}: {numbers:?}"
        );
        let samples = run.samples(0);
        let behind = samples
            .iter()
            .skip(48 * 4_200)
            .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(behind < 0.001, "{name}: {behind}");
        let [(lost, at)] = reported_gaps(&run, WarningCode::SoundShortened)[..] else {
            panic!("{name}: {:?}", run.report.warnings)
        };
        assert!(
            (lost - 4.0).abs() < 0.2 && (at - 4.0).abs() < 0.2,
            "{name}: {lost} at {at}"
        );
        // Alone, the audio ends there.
        let run = process(&source, &recipe(AUDIO)).unwrap();
        let [(lost, at)] = reported_gaps(&run, WarningCode::SourceDamaged)[..] else {
            panic!("{name}: {:?}", run.report.warnings)
        };
        assert!(
            (lost - 4.0).abs() < 0.2 && (at - 4.0).abs() < 0.2,
            "{name}: {lost} at {at}"
        );
    }
    let both = written(&path, "same.mkv", &[&aac[..], &aac].concat());
    assert_eq!(loss_details(&process(&both, &recipe(MP4)).unwrap()), [""; 0]);
}
