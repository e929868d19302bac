//! Pixel aspect ratios: signaled by the container or the bitstream only, contradictory, implausible, or changing
//! mid-stream.

use crate::clips::{clip, clip_with};
use crate::harness::{probe, process, recipe};
use crate::mp4_boxes::Mp4;
use domain::Rational;
use std::path::{Path, PathBuf};

const WIDE: Rational = Rational { num: 32, den: 27 };

/// The probed pixel aspect of a white source, and the size of a video made from it, which must have no bars.
fn aspect_and_size(source: &Path) -> (Rational, (u32, u32)) {
    let aspect = probe(source).unwrap().main_video().unwrap().1.sample_aspect;
    let run = process(source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let (frames, width, height) = run.luma(0);
    for frame in &frames {
        let edges = [frame[width / 2], frame[height / 2 * width]];
        assert!(
            edges.iter().all(|luma| *luma > 200),
            "{width}x{height} with bars: {edges:?}"
        );
    }
    let (_, facts) = run.output(0).2.probe.main_video().unwrap();
    (aspect, (facts.width_px, facts.height_px))
}

/// An MP4 of 180x120 with square pixels in the bitstream, and with this track size (`tkhd`) and pixel aspect (`pasp`).
fn with_container_aspect(track_px: (u32, u32), pixel: Option<(u32, u32)>) -> (tempfile::TempDir, PathBuf) {
    let source = clip(
        "boxed-aspect.mp4",
        "-f lavfi -i color=white:s=180x120:r=10:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p",
    );
    let mut file = Mp4::read(&source);
    let (tkhd, pasp) = (file.find(b"tkhd"), file.find(b"pasp"));
    file.set(tkhd + 84, track_px.0 << 16);
    file.set(tkhd + 88, track_px.1 << 16);
    match pixel {
        Some((num, den)) => {
            file.set(pasp + 8, num);
            file.set(pasp + 12, den);
        }
        None => file.0[pasp + 4..pasp + 8].copy_from_slice(b"free"),
    }
    file.write("boxed.mp4")
}

#[test]
fn aspect_ratio_is_read_from_tkhd_or_pasp() {
    for (signaled_by, track, pixel) in [
        ("the track size", (213, 120), None),
        ("the pixel aspect", (180, 120), Some((32, 27))),
        ("both", (213, 120), Some((32, 27))),
    ] {
        let (_folder, source) = with_container_aspect(track, pixel);
        let (aspect, size) = aspect_and_size(&source);
        assert!(
            (aspect.as_f64() - WIDE.as_f64()).abs() < 0.01,
            "{signaled_by}: {aspect:?}"
        );
        assert!(size.0.abs_diff(214) <= 2 && size.1 == 120, "{signaled_by}: {size:?}");
    }
    let (_folder, source) = with_container_aspect((180, 120), None);
    assert_eq!(aspect_and_size(&source), (Rational { num: 1, den: 1 }, (180, 120)));
}

/// H.265 with this frame size, and this pixel aspect in the parameter sets before each keyframe.
fn with_frame_aspect_of(size: &str, aspect: &str) -> PathBuf {
    clip(
        &format!("frames-{size}-{}.mp4", aspect.replace('/', "-")),
        &format!(
            "-f lavfi -i color=white:s={size}:r=10:d=1,setsar={aspect} -c:v libx265 -preset ultrafast \
             -x265-params log-level=none:info=0 -bsf:v dump_extra -pix_fmt yuv420p"
        ),
    )
}

/// The content of the `hvcC` box of an MP4, which holds the parameter sets.
fn decoder_configuration(file: &Mp4) -> Vec<u8> {
    let at = file.find(b"hvcC");
    file.0[at + 8..at + file.number(at) as usize].to_vec()
}

/// A copy of an MP4, whose index is at its end, with another content of the `hvcC` box.
fn with_decoder_configuration(source: &Path, content: &[u8]) -> Mp4 {
    let mut file = Mp4::read(source);
    let at = file.find(b"hvcC");
    let old_bytes = file.number(at) as usize - 8;
    for name in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1", b"hvcC"] {
        let parent = file.find(name);
        let bytes = file.number(parent) as usize - old_bytes + content.len();
        file.set(parent, u32::try_from(bytes).unwrap());
    }
    file.0.splice(at + 8..at + 8 + old_bytes, content.iter().copied());
    file
}

#[test]
fn an_implausible_container_aspect_is_replaced_by_that_of_the_frames() {
    let (right, wrong) = (
        with_frame_aspect_of("180x120", "32/27"),
        with_frame_aspect_of("180x120", "27/64"),
    );
    let (right_headers, wrong_headers) = (
        decoder_configuration(&Mp4::read(&right)),
        decoder_configuration(&Mp4::read(&wrong)),
    );
    assert_eq!(right_headers.len(), wrong_headers.len());
    // Replaces the correct parameter sets of the header; those of the frames stay.
    let replace_headers = |bytes: &mut Vec<u8>| {
        let length = right_headers.len();
        let at = bytes
            .windows(length)
            .position(|window| window == right_headers)
            .unwrap();
        bytes[at..at + length].copy_from_slice(&wrong_headers);
    };
    // Implausible aspects: 0.24 by the display size of Matroska, and 100 by `pasp`.
    let narrow = clip_with(
        "white-narrow.mkv",
        &["-i", right.to_str().unwrap(), "-c", "copy", "-aspect", "6:25"],
    );
    let mut matroska = std::fs::read(narrow).unwrap();
    replace_headers(&mut matroska);
    let mut mp4 = Mp4::read(&right);
    let pasp = mp4.find(b"pasp");
    mp4.set(pasp + 8, 100);
    mp4.set(pasp + 12, 1);
    replace_headers(&mut mp4.0);
    for (name, bytes) in [("narrow.mkv", matroska), ("hundred.mp4", mp4.0)] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(name);
        std::fs::write(&source, bytes).unwrap();
        let (aspect, size) = aspect_and_size(&source);
        assert_eq!(aspect, WIDE, "{name}");
        assert!(size.0.abs_diff(214) <= 2 && size.1 == 120, "{name}: {size:?}");
    }
}

#[test]
fn an_aspect_of_27_to_64_against_every_frame_gives_square_pixels() {
    for (width, height) in [(108, 192), (180, 120)] {
        // By `pasp`, which no frame confirms.
        let square = clip(
            &format!("square-{width}x{height}.mp4"),
            &format!(
                "-f lavfi -i color=white:s={width}x{height}:r=10:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p \
                 -bsf:v h264_metadata=sample_aspect_ratio=1/1"
            ),
        );
        let mut by_container = Mp4::read(&square);
        let pasp = by_container.find(b"pasp");
        by_container.set(pasp + 8, 27);
        by_container.set(pasp + 12, 64);
        // By the parameter sets of the header; those of the frames and the container are right.
        let headers = |aspect: &str| with_frame_aspect_of(&format!("{width}x{height}"), aspect);
        let (right, wrong) = (headers("1/1"), headers("27/64"));
        let by_headers = with_decoder_configuration(&right, &decoder_configuration(&Mp4::read(&wrong)));
        for (name, file) in [("container.mp4", by_container), ("headers.mp4", by_headers)] {
            let (_folder, source) = file.write(name);
            let (aspect, size) = aspect_and_size(&source);
            assert_eq!(aspect, Rational { num: 1, den: 1 }, "{name}");
            assert_eq!(size, (width, height), "{name}");
        }
    }
}

/// A transport stream of two parts, of one second each. They have different pixel aspects and the same frame size.
fn broadcast(name: &str, encoding: &str, aspects: [&str; 2]) -> PathBuf {
    let parts = aspects.map(|aspect| {
        let part = format!("{}-{name}", aspect.replace('/', "-"));
        let video = format!("-f lavfi -i color=white:s=128x96:r=25:d=1,setsar={aspect}");
        std::fs::read(clip(&part, &format!("{video} {encoding}"))).unwrap()
    });
    let folder = clip("square-pixel.ts", "-f lavfi -i color=white:s=16x16:d=0.1");
    let path = folder.with_file_name(format!("{}-then-{}-{name}", aspects[0], aspects[1]).replace('/', "-"));
    std::fs::write(&path, parts.concat()).unwrap();
    path
}

#[test]
fn a_change_of_the_pixel_aspect_mid_stream_adds_bars() {
    let json = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}},
        {"kind":"mp4","name":"small","max_width_px":64,"video":{"crf":8}}]}"#;
    for (name, encoding) in [
        ("h264.ts", "-c:v libx264 -pix_fmt yuv420p"),
        ("mpeg2.ts", "-c:v mpeg2video -qscale:v 2"),
        ("fields.ts", "-c:v mpeg2video -qscale:v 2 -flags +ilme+ildct -top 1"),
    ] {
        for (aspects, wide_first) in [(["1/1", "4/3"], false), (["4/3", "1/1"], true)] {
            let source = broadcast(name, encoding, aspects);
            let run = process(&source, &recipe(json)).unwrap();
            for index in 0..2 {
                let (frames, width, height) = run.luma(index);
                assert!(frames.len().abs_diff(50) <= 2, "{name}: {} frames", frames.len());
                let bright_rows = |frame: usize| {
                    (0..height)
                        .filter(|y| frames[frame][y * width + width / 2] > 200)
                        .count()
                };
                let bright_columns = |frame: usize| {
                    (0..width)
                        .filter(|x| frames[frame][height / 2 * width + x] > 200)
                        .count()
                };
                let context = format!(
                    "{name}, {aspects:?}, {width}x{height}: {} of {}",
                    bright_rows(40),
                    bright_columns(40)
                );
                assert_eq!((bright_rows(10), bright_columns(10)), (height, width), "{context}");
                // 16:9 in a 4:3 frame and 4:3 in a 16:9 frame fill one side, and three quarters of the other.
                let (line, column) = if wide_first {
                    (height, width * 3 / 4)
                } else {
                    (height * 3 / 4, width)
                };
                assert!(
                    bright_rows(40).abs_diff(line) <= 3 && bright_columns(40).abs_diff(column) <= 3,
                    "{context}"
                );
            }
            let later = r#"{"trim":{"start":1.4},"outputs":[{"kind":"poster","at_ms":0,"format":"png"}]}"#;
            let run = process(&source, &recipe(later)).unwrap();
            let (frames, width, height) = run.luma(0);
            let corner = if wide_first { height / 2 * width } else { width / 2 };
            assert!(frames[0][corner] < 40, "{name}, {aspects:?}: {}", frames[0][corner]);
        }
    }
}

#[test]
fn aspect_of_the_container_overrides_the_bitstream() {
    // The bitstream has an aspect of 1:1; only the container has another one.
    let square = clip(
        "square-pixels.mp4",
        "-f lavfi -i testsrc2=s=720x480:r=30:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p",
    );
    for (extension, aspect, size) in [
        ("mp4", "16:9", (854, 480)),
        ("mov", "16:9", (854, 480)),
        ("mkv", "16:9", (854, 480)),
        ("mkv", "4:3", (720, 540)),
    ] {
        let name = format!("aspect-{}.{extension}", aspect.replace(':', "-"));
        let source = clip_with(
            &name,
            &["-i", square.to_str().unwrap(), "-c", "copy", "-aspect", aspect],
        );
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        let (_, facts) = run.output(0).2.probe.main_video().unwrap();
        let shown = (facts.width_px, facts.height_px);
        assert!(
            shown.0.abs_diff(size.0) <= 2 && shown.1.abs_diff(size.1) <= 2,
            "{name}: {shown:?}"
        );
    }
}

#[test]
fn an_implausible_aspect_is_read_from_the_frames() {
    let phone = clip(
        "phone.mp4",
        "-f lavfi -i testsrc2=s=108x192:r=30:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p",
    );
    // A display aspect of 6:25 is a pixel aspect of about 0.24.
    let arguments = ["-i", phone.to_str().unwrap(), "-c", "copy", "-aspect", "6:25"];
    let narrow = clip_with("phone-narrow.mkv", &arguments);
    let (_, facts) = probe(&narrow)
        .unwrap()
        .main_video()
        .map(|(s, f)| (s.index, f.clone()))
        .unwrap();
    assert_eq!(facts.sample_aspect, Rational { num: 1, den: 1 });
    // A transport stream has no aspect of its own, so it is read from the first frame.
    let wide = clip(
        "wide-pixels.ts",
        "-f lavfi -i testsrc2=s=720x480:r=30:d=1,setsar=32/27 -c:v libx264 -pix_fmt yuv420p",
    );
    let (_, facts) = probe(&wide)
        .unwrap()
        .main_video()
        .map(|(s, f)| (s.index, f.clone()))
        .unwrap();
    assert_eq!(facts.sample_aspect, Rational { num: 32, den: 27 });
}
