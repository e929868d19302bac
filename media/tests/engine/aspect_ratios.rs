//! The shape of pixels where one place alone tells it, where headers and frames disagree, and where it changes on the way.

use crate::clips::{clip, clip_with};
use crate::harness::{probe, process, recipe};
use crate::mp4_boxes::Mp4;
use domain::Rational;
use std::path::{Path, PathBuf};

const WIDE: Rational = Rational { num: 32, den: 27 };

/// The shape of the pixels of a white source, and the size of a movie that is made of it, without bars.
fn seen(source: &Path) -> (Rational, (u32, u32)) {
    let told = probe(source).unwrap().main_video().unwrap().1.sample_aspect;
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
    (told, (facts.width_px, facts.height_px))
}

/// An MP4 of 180x120 whose bitstream tells square pixels, and whose boxes tell what is given: the size of the track, and
/// the shape of a pixel (`pasp`) where there is one.
fn boxed(track_px: (u32, u32), pixel: Option<(u32, u32)>) -> (tempfile::TempDir, PathBuf) {
    let source = clip(
        "boxed-aspect.mp4",
        "-f lavfi -i color=white:s=180x120:r=10:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p",
    );
    let mut file = Mp4::read(&source);
    let (track, shape) = (file.find(b"tkhd"), file.find(b"pasp"));
    file.set(track + 84, track_px.0 << 16);
    file.set(track + 88, track_px.1 << 16);
    match pixel {
        Some((num, den)) => {
            file.set(shape + 8, num);
            file.set(shape + 12, den);
        }
        None => file.0[shape + 4..shape + 8].copy_from_slice(b"free"),
    }
    file.write("boxed.mp4")
}

#[test]
fn aspect_ratio_is_read_from_tkhd_or_pasp() {
    for (what, track, pixel) in [
        ("the size of the track", (213, 120), None),
        ("the shape of a pixel", (180, 120), Some((32, 27))),
        ("both", (213, 120), Some((32, 27))),
    ] {
        let (_folder, source) = boxed(track, pixel);
        let (told, size) = seen(&source);
        assert!((told.as_f64() - WIDE.as_f64()).abs() < 0.01, "{what}: {told:?}");
        assert!(size.0.abs_diff(214) <= 2 && size.1 == 120, "{what}: {size:?}");
    }
    let (_folder, source) = boxed((180, 120), None);
    assert_eq!(seen(&source), (Rational { num: 1, den: 1 }, (180, 120)));
}

/// H.265 whose frames have pixels of a shape, which stands before each keyframe.
fn in_frames(name: &str, aspect: &str) -> PathBuf {
    clip(
        name,
        &format!(
            "-f lavfi -i color=white:s=180x120:r=10:d=1,setsar={aspect} -c:v libx265 -preset ultrafast \
             -x265-params log-level=none:info=0 -bsf:v dump_extra -pix_fmt yuv420p"
        ),
    )
}

/// The decoder's configuration in an MP4: the `hvcC` box.
fn configuration(file: &Mp4) -> Vec<u8> {
    let at = file.find(b"hvcC");
    file.0[at + 8..at + file.number(at) as usize].to_vec()
}

#[test]
fn an_implausible_container_aspect_is_replaced_by_that_of_the_frames() {
    let (right, wrong) = (
        in_frames("frames-32-27.mp4", "32/27"),
        in_frames("frames-27-64.mp4", "27/64"),
    );
    let (right_headers, wrong_headers) = (configuration(&Mp4::read(&right)), configuration(&Mp4::read(&wrong)));
    assert_eq!(right_headers.len(), wrong_headers.len());
    let misled = |bytes: &mut Vec<u8>| {
        let length = right_headers.len();
        let at = bytes
            .windows(length)
            .position(|window| window == right_headers)
            .unwrap();
        bytes[at..at + length].copy_from_slice(&wrong_headers);
    };
    // 0.24 to 1 by the size at which Matroska has it shown, and a hundred to one by `pasp`.
    let narrow = clip_with(
        "white-narrow.mkv",
        &["-i", right.to_str().unwrap(), "-c", "copy", "-aspect", "6:25"],
    );
    let mut matroska = std::fs::read(narrow).unwrap();
    misled(&mut matroska);
    let mut mp4 = Mp4::read(&right);
    let shape = mp4.find(b"pasp");
    mp4.set(shape + 8, 100);
    mp4.set(shape + 12, 1);
    misled(&mut mp4.0);
    for (name, bytes) in [("narrow.mkv", matroska), ("hundred.mp4", mp4.0)] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(name);
        std::fs::write(&source, bytes).unwrap();
        let (told, size) = seen(&source);
        assert_eq!(told, WIDE, "{name}");
        assert!(size.0.abs_diff(214) <= 2 && size.1 == 120, "{name}: {size:?}");
    }
}

/// A broadcast of white pictures, a second of 4:3 and one of 16:9, coded in the same size; or the reverse.
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
                assert!(frames.len().abs_diff(50) <= 2, "{name}: {} pictures", frames.len());
                let lines = |frame: usize| {
                    (0..height)
                        .filter(|y| frames[frame][y * width + width / 2] > 200)
                        .count()
                };
                let columns = |frame: usize| {
                    (0..width)
                        .filter(|x| frames[frame][height / 2 * width + x] > 200)
                        .count()
                };
                let context = format!(
                    "{name}, {aspects:?}, {width}x{height}: {} of {}",
                    lines(40),
                    columns(40)
                );
                assert_eq!((lines(10), columns(10)), (height, width), "{context}");
                // 16:9 in 4:3, and 4:3 in 16:9: three quarters of the one side, and the whole other one.
                let (line, column) = if wide_first {
                    (height, width * 3 / 4)
                } else {
                    (height * 3 / 4, width)
                };
                assert!(
                    lines(40).abs_diff(line) <= 3 && columns(40).abs_diff(column) <= 3,
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
    // x264 writes 1:1 into the bitstream; only the container tells another shape.
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
    // 0.24 to 1.
    let arguments = ["-i", phone.to_str().unwrap(), "-c", "copy", "-aspect", "6:25"];
    let narrow = clip_with("phone-narrow.mkv", &arguments);
    let (_, facts) = probe(&narrow)
        .unwrap()
        .main_video()
        .map(|(s, f)| (s.index, f.clone()))
        .unwrap();
    assert_eq!(facts.sample_aspect, Rational { num: 1, den: 1 });
    // The first frame tells what the headers do not, here in a stream without a container's word.
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
