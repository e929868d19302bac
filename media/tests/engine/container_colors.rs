//! Color information in the container: boxes of MP4 and elements of Matroska, with or without the same in the
//! bitstream.

use crate::clips::{clip, clip_with};
use crate::colors;
use crate::harness::{probe, process, recipe};
use crate::mp4_boxes::{Mp4, STBL, boxed};
use domain::plan::StreamAction;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Transfer characteristics of PQ (SMPTE ST 2084).
const PQ: &str = "smpte2084";
/// Transfer characteristics of HLG.
const HLG: &str = "arib-std-b67";

/// Ten 10-bit frames with eight columns from dark to bright, tagged as BT.2020 with this transfer.
fn wedge(name: &str, transfer: &str, encoding: &[&str]) -> PathBuf {
    let video = "color=black:s=160x96:r=10:d=1,format=yuv420p10le,geq=lum='64+floor(X/20)*110':cb=512:cr=512";
    let tags = format!("-color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range tv");
    let mut arguments = vec!["-f", "lavfi", "-i", video];
    arguments.extend(encoding);
    arguments.extend(tags.split(' '));
    clip_with(name, &arguments)
}

/// Encoder settings of nearly lossless H.265.
const H265: [&str; 6] = [
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:crf=4",
];

/// The luma in the center of each column of a video made from the source.
fn columns(source: &Path) -> Vec<u8> {
    let run = process(source, &recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#)).unwrap();
    colors::columns(&run)
}

/// Compares lumas with a tolerance of 2.
fn alike(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(one, other)| one.abs_diff(*other) <= 2)
}

#[test]
fn hdr_signaled_by_the_container_only_is_detected() {
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "4"];
    let av1 = ["-c:v", "libsvtav1", "-preset", "12", "-qp", "4"];
    let unspecified = "colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2";
    for (name, encoding, filter) in [
        ("h265", &H265[..], format!("hevc_metadata={unspecified}")),
        ("h264", &h264[..], format!("h264_metadata={unspecified}")),
        (
            "av1",
            &av1[..],
            "av1_metadata=color_primaries=2:transfer_characteristics=2:matrix_coefficients=2".to_owned(),
        ),
    ] {
        for transfer in [PQ, HLG] {
            let tagged = wedge(&format!("tagged-{transfer}-{name}.mp4"), transfer, encoding);
            let expected = columns(&tagged);
            for extension in ["mp4", "mkv"] {
                let source = clip_with(
                    &format!("container-{transfer}-{name}.{extension}"),
                    &["-i", tagged.to_str().unwrap(), "-c", "copy", "-bsf:v", &filter],
                );
                assert!(
                    probe(&source).unwrap().main_video().unwrap().1.hdr,
                    "{transfer} {name}.{extension}"
                );
                let seen = columns(&source);
                assert!(
                    alike(&seen, &expected),
                    "{transfer} {name}.{extension}: {seen:?}, with tags in the bitstream {expected:?}"
                );
            }
        }
    }
    // The VP9 bitstream has no transfer characteristics; they are always in the container.
    let vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-crf", "4", "-b:v", "0"];
    let source = wedge("container-vp9.webm", PQ, &vp9);
    assert!(probe(&source).unwrap().main_video().unwrap().1.hdr);
}

#[test]
fn range_from_the_bitstream_is_combined_with_color_from_the_container() {
    let unspecified = "colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2";
    let seen = [0, 1].map(|full| {
        let tagged = wedge(
            &format!("range-{full}.mp4"),
            PQ,
            &[&H265[..], &["-tag:v", "hvc1"]].concat(),
        );
        let filter = format!("hevc_metadata=video_full_range_flag={full}:{unspecified}");
        // The QuickTime `colr` box of type `nclc` has no range.
        let source = clip_with(
            &format!("range-{full}.mov"),
            &[
                "-i",
                tagged.to_str().unwrap(),
                "-c",
                "copy",
                "-color_range",
                "unknown",
                "-bsf:v",
                &filter,
            ],
        );
        let facts = probe(&source).unwrap();
        let facts = facts.main_video().unwrap().1;
        assert_eq!((facts.hdr, facts.full_range), (true, full == 1));
        columns(&source)
    });
    // Luma 16 is black in limited range and dark gray in full range.
    assert!(seen[1][0] > seen[0][0] + 3, "{seen:?}");
}

/// Returns `true` when `ffprobe` finds mastering display metadata in the container.
fn has_mastering_data(path: &Path) -> bool {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream_side_data_list"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .contains("Mastering display metadata")
}

#[test]
fn mastering_metadata_of_the_container_is_ignored() {
    let h265 = [&H265[..], &["-tag:v", "hvc1"]].concat();
    let plain = wedge("mastering.mp4", PQ, &h265);
    let expected = columns(&plain);
    // Maximum luminance in 0.0001 cd/m², and light levels in cd/m²: 10,000, 1 and 0.
    for (luminance, light_level) in [(100_000_000_u32, 10_000_u16), (10_000, 1), (0, 0)] {
        let mut file = Mp4::read(&plain);
        let primaries = [8_500_u16, 39_850, 6_550, 2_300, 35_400, 14_600, 15_635, 16_450].map(u16::to_be_bytes);
        let volume = [
            primaries.concat(),
            luminance.to_be_bytes().to_vec(),
            1_u32.to_be_bytes().to_vec(),
        ]
        .concat();
        let light_levels = [light_level.to_be_bytes(), light_level.to_be_bytes()].concat();
        let added = [boxed(b"mdcv", &volume), boxed(b"clli", &light_levels)].concat();
        file.append(&[&STBL[..], &[b"stsd", b"hvc1"]].concat(), &added);
        let (_folder, source) = file.write("mastering-metadata.mp4");
        assert!(has_mastering_data(&source), "{luminance}");
        assert!(probe(&source).unwrap().main_video().unwrap().1.hdr);
        let seen = columns(&source);
        assert!(alike(&seen, &expected), "{luminance}: {seen:?}, without {expected:?}");
    }
}

/// Primaries, transfer and matrix of the `colr` box of an MP4, two bytes each.
fn color_box(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(8).rposition(|window| window == b"colrnclx")?;
    Some(bytes[at + 8..at + 14].to_vec())
}

#[test]
fn a_stream_copy_keeps_color_signaled_by_the_container_only() {
    let tagged = clip(
        "tagged-601.mp4",
        "-f lavfi -i testsrc2=s=128x72:r=25:d=1 -c:v libx264 -g 25 -pix_fmt yuv420p \
         -color_primaries smpte170m -color_trc smpte170m -colorspace smpte170m",
    );
    let filter = "h264_metadata=colour_primaries=2:transfer_characteristics=2:matrix_coefficients=2";
    for extension in ["mp4", "mkv"] {
        let source = clip_with(
            &format!("container-601.{extension}"),
            &["-i", tagged.to_str().unwrap(), "-c", "copy", "-bsf:v", filter],
        );
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        assert_eq!(run.plan.outputs[0].steps[0].action, StreamAction::Copy, "{extension}");
        assert_eq!(color_box(&run.path(0)), Some(vec![0, 6, 0, 6, 0, 6]), "{extension}");
    }
}
