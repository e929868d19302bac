//! Conversion of pixel formats, color ranges and HDR to 8-bit BT.709 in limited range.

use crate::clips::{clip, clip_with};
use crate::harness::{Run, decode, probe, process, recipe};
use domain::plan::WarningCode;
use std::path::PathBuf;
use std::process::Command;

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

/// Ten frames in 10-bit PQ with eight columns from black to 3,000 cd/m². `parameters` are appended to those of x265.
fn wedge(name: &str, parameters: &str) -> PathBuf {
    let video = "color=black:s=160x90:r=10:d=1,format=yuv420p10le,geq=lum='64+floor(X/20)*110':cb=512:cr=512";
    let x265_params = format!(
        "log-level=error:crf=4:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited{parameters}"
    );
    let encoding = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-tag:v",
        "hvc1",
        "-x265-params",
    ];
    clip_with(
        name,
        &[&["-f", "lavfi", "-i", video][..], &encoding, &[&x265_params]].concat(),
    )
}

/// The luma in the center of each of eight columns.
pub(crate) fn columns(run: &Run) -> Vec<u8> {
    let (frames, width, height) = run.luma(0);
    (0..8)
        .map(|column| frames[5][height / 2 * width + width / 16 * (2 * column + 1)])
        .collect()
}

#[test]
fn tone_mapping_of_a_pq_wedge_keeps_order_black_and_neutral_gray() {
    let run = process(&wedge("wedge-pq.mp4", ""), &recipe(MP4)).unwrap();
    let seen = columns(&run);
    assert!(seen[0] <= 20, "black is {seen:?}");
    assert!(
        seen.is_sorted() && seen[1] < seen[2] && seen[2] < seen[3] && seen[3] < seen[4],
        "{seen:?}"
    );
    // Column 5 is 0.63 in PQ, about 300 cd/m², above the reference white of 203 cd/m².
    assert!((110..=235).contains(&seen[5]), "{seen:?}");
    let raw = decode(
        &run.scratch.path().join("video.mp4"),
        &["-f", "rawvideo", "-pix_fmt", "yuv420p"],
    );
    let chroma = &raw[160 * 90..160 * 90 * 3 / 2];
    assert!(
        chroma.iter().all(|value| value.abs_diff(128) <= 3),
        "gray is not neutral"
    );
}

#[test]
fn implausible_mastering_metadata_is_ignored() {
    let without = columns(&process(&wedge("wedge-pq.mp4", ""), &recipe(MP4)).unwrap());
    for (name, parameters) in [
        (
            "wedge-dark.mp4",
            ":master-display=G(0,0)B(0,0)R(0,0)WP(0,0)L(1,1):max-cll=0,0",
        ),
        (
            "wedge-bright.mp4",
            ":master-display=G(1,1)B(50000,50000)R(3,3)WP(9,9)L(4000000000,0):max-cll=65535,65535",
        ),
    ] {
        let source = wedge(name, parameters);
        assert!(probe(&source).unwrap().main_video().unwrap().1.hdr);
        let seen = columns(&process(&source, &recipe(MP4)).unwrap());
        let same = seen
            .iter()
            .zip(&without)
            .all(|(seen, without)| seen.abs_diff(*without) <= 2);
        assert!(same, "{name}: {seen:?}, without the metadata {without:?}");
    }
}

#[test]
fn black_gray_and_white_are_kept_for_every_pixel_format() {
    let video = "color=black:s=96x32:r=10:d=0.5,format=rgb24,\
        geq=r='if(lt(X,32),0,if(lt(X,64),128,255))':g='if(lt(X,32),0,if(lt(X,64),128,255))':b='if(lt(X,32),0,if(lt(X,64),128,255))'";
    for format in [
        "yuvj420p",
        "yuvj444p",
        "yuv422p",
        "yuv444p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p10le",
    ] {
        let arguments = [
            "-f", "lavfi", "-i", video, "-c:v", "libx264", "-crf", "1", "-pix_fmt", format,
        ];
        let run = process(&clip_with(&format!("steps-{format}.mp4"), &arguments), &recipe(MP4)).unwrap();
        let (frames, width, height) = run.luma(0);
        let seen = [16, 48, 80].map(|x| frames[2][height / 2 * width + x]);
        let expected = [16, 126, 235];
        assert!(
            seen.iter()
                .zip(expected)
                .all(|(seen, expected)| seen.abs_diff(expected) <= 2),
            "{format}: {seen:?}"
        );
        let (_, facts) = run.output(0).2.probe.main_video().unwrap();
        assert_eq!(
            (facts.pixel_format.as_str(), facts.full_range),
            ("yuv420p", false),
            "{format}"
        );
        let warned = run
            .plan
            .warnings
            .iter()
            .any(|warning| warning.code == WarningCode::PictureConverted);
        assert!(warned, "{format}: {:?}", run.plan.warnings);
    }
}

#[test]
fn other_pixel_formats_become_8_bit_limited_range() {
    for (name, encoding) in [
        ("full.mp4", "-pix_fmt yuvj420p -c:v libx264"),
        ("tenbit.mp4", "-pix_fmt yuv420p10le -c:v libx264"),
        ("c422.mp4", "-pix_fmt yuv422p -c:v libx264"),
        ("c444.mp4", "-pix_fmt yuv444p -c:v libx264"),
        ("rgb.mkv", "-pix_fmt rgb24 -c:v png"),
    ] {
        let source = clip(name, &format!("-f lavfi -i color=white:s=64x64:r=10:d=0.5 {encoding}"));
        let run = process(&source, &recipe(MP4)).unwrap();
        let (frames, ..) = run.luma(0);
        assert!(frames[2][0].abs_diff(235) <= 2, "{name}: white is {}", frames[2][0]);
        assert!(!run.plan.warnings.is_empty(), "{name}");
    }
}

#[test]
fn hdr_is_tone_mapped_and_tagged_as_bt709() {
    for (name, transfer) in [("pq.mp4", "smpte2084"), ("hlg.mp4", "arib-std-b67")] {
        let encoding = format!(
            "-f lavfi -i testsrc2=s=320x180:r=10:d=0.5 -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast \
             -x265-params log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc -tag:v hvc1"
        );
        let source = clip(name, &encoding);
        assert!(probe(&source).unwrap().main_video().unwrap().1.hdr, "{name}");
        let run = process(&source, &recipe(MP4)).unwrap();
        let path = run.scratch.path().join("video.mp4");
        let entries = "stream=color_space,color_transfer,color_primaries,color_range";
        let output = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-select_streams",
                "v",
                "-show_entries",
                entries,
                "-of",
                "csv=p=0",
            ])
            .arg(path)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "tv,bt709,bt709,bt709",
            "{name}"
        );
    }
}

/// Frames of one 10-bit gray with these color tags.
fn gray(name: &str, luma: u32, tags: &str) -> PathBuf {
    let video = format!("color=black:s=320x180:r=10:d=0.5,format=yuv420p10le,geq=lum='{luma}':cb=512:cr=512");
    let x265_params = format!("log-level=error:crf=1:{tags}");
    clip_with(
        name,
        &[
            "-f",
            "lavfi",
            "-i",
            &video,
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-tag:v",
            "hvc1",
            "-x265-params",
            &x265_params,
        ],
    )
}

/// The luma in the center of two outputs: in the size of the source, and scaled.
fn luma_unscaled_and_scaled(source: &std::path::Path) -> [u8; 2] {
    let json = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}},
        {"kind":"mp4","name":"small","max_width_px":160,"video":{"crf":8}}]}"#;
    let run = process(source, &recipe(json)).unwrap();
    [0, 1].map(|index| {
        let (frames, width, height) = run.luma(index);
        frames[2][height / 2 * width + width / 2]
    })
}

#[test]
fn color_range_is_converted_once_with_and_without_scaling() {
    for (name, tags) in [
        (
            "range-2020.mp4",
            "colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc",
        ),
        (
            "range-pq.mp4",
            "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
        ),
        (
            "range-hlg.mp4",
            "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc",
        ),
    ] {
        for range in ["full", "limited"] {
            let source = gray(&format!("{range}-{name}"), 300, &format!("{tags}:range={range}"));
            let [unscaled, scaled] = luma_unscaled_and_scaled(&source);
            assert!(
                unscaled.abs_diff(scaled) <= 2,
                "{range} {name}: {unscaled}, scaled {scaled}"
            );
        }
    }
    // Gray 20 in full range is luma 33 in limited range. Converted twice it would be 44.
    let tags = "colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc:range=full";
    let seen = luma_unscaled_and_scaled(&gray("gray-20.mp4", 80, tags));
    assert!(seen.iter().all(|luma| luma.abs_diff(33) <= 2), "{seen:?}");
}

#[test]
fn hdr_without_primaries_is_assumed_to_be_bt2020() {
    for (name, transfer) in [("bare-pq.mp4", "smpte2084"), ("bare-hlg.mp4", "arib-std-b67")] {
        let complete = gray(
            &format!("complete-{name}"),
            400,
            &format!("colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited"),
        );
        let complete = luma_unscaled_and_scaled(&complete);
        for (tagged, tags) in [
            ("none", format!("transfer={transfer}:range=limited")),
            (
                "matrix",
                format!("transfer={transfer}:colormatrix=bt2020nc:range=limited"),
            ),
        ] {
            let bare = luma_unscaled_and_scaled(&gray(&format!("{tagged}-{name}"), 400, &tags));
            let same = bare
                .iter()
                .zip(complete)
                .all(|(bare, complete)| bare.abs_diff(complete) <= 2);
            assert!(same, "{tagged} of {name}: {bare:?}, with all tags {complete:?}");
        }
    }
}
