//! Geometry of frames: rotation, pixel aspect, size limits, padding, cropping, and changes mid-stream.

use crate::clips::{clip, clip_with};
use crate::harness::{Run, process, recipe};
use domain::Code;
use domain::probe::Size;

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// The display size of a video output in pixels.
fn size_of(run: &Run, index: usize) -> (u32, u32) {
    let Size { width_px, height_px } = run.output(index).2.probe.main_video().unwrap().1.display_size();
    (width_px, height_px)
}

/// Mean luma of the four quarters of a frame: top left, top right, bottom left, bottom right. Edges are not counted.
fn quarters(luma: &[u8], width: usize, height: usize) -> [usize; 4] {
    let mean = |left: usize, top: usize| {
        let rows = (top + height / 8..top + height * 3 / 8).map(|y| y * width + left);
        let sums = rows.map(|at| {
            luma[at + width / 8..at + width * 3 / 8]
                .iter()
                .map(|b| usize::from(*b))
                .sum::<usize>()
        });
        let cells = (height / 4) * (width / 4);
        sums.sum::<usize>() / cells.max(1)
    };
    [
        mean(0, 0),
        mean(width / 2, 0),
        mean(0, height / 2),
        mean(width / 2, height / 2),
    ]
}

/// A clip of 160x80 whose quarters have luma 40, 90, 140 and 190.
fn quartered(name: &str, encoding: &[&str]) -> std::path::PathBuf {
    let video = "color=black:s=160x80:r=10:d=1,geq=lum='40+50*floor(X/80)+100*floor(Y/40)':cb=128:cr=128";
    let mut arguments = vec!["-f", "lavfi", "-i", video, "-c:v", "libx264", "-crf", "4"];
    arguments.extend(encoding);
    clip_with(name, &arguments)
}

/// A copy of an MP4 with this transformation matrix in its track header (ISO/IEC 14496-12 §8.3.2).
fn orient(source: &std::path::Path, name: &str, abcd: [i32; 4]) -> std::path::PathBuf {
    let mut bytes = std::fs::read(source).unwrap();
    let at = bytes.windows(4).position(|w| w == b"tkhd").unwrap() + 4 + 40;
    let [a, b, c, d] = abcd.map(|n| n << 16);
    for (index, number) in [a, b, 0, c, d, 0, 0, 0, 1 << 30].into_iter().enumerate() {
        bytes[at + index * 4..at + index * 4 + 4].copy_from_slice(&number.to_be_bytes());
    }
    let path = source.with_file_name(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn rotation_and_mirroring_are_applied_once() {
    let plain = quartered("quartered.mp4", &[]);
    for (name, abcd, size, expected) in [
        ("rotate-0.mp4", [1, 0, 0, 1], (160, 80), [40, 90, 140, 190]),
        ("rotate-90.mp4", [0, 1, -1, 0], (80, 160), [140, 40, 190, 90]),
        ("rotate-180.mp4", [-1, 0, 0, -1], (160, 80), [190, 140, 90, 40]),
        ("rotate-270.mp4", [0, -1, 1, 0], (80, 160), [90, 190, 40, 140]),
        ("mirror.mp4", [-1, 0, 0, 1], (160, 80), [90, 40, 190, 140]),
        ("upside-down-mirror.mp4", [1, 0, 0, -1], (160, 80), [140, 190, 40, 90]),
        ("mirror-270.mp4", [0, 1, 1, 0], (80, 160), [40, 140, 90, 190]),
        ("mirror-90.mp4", [0, -1, -1, 0], (80, 160), [190, 90, 140, 40]),
    ] {
        let run = process(&orient(&plain, name, abcd), &recipe(MP4)).unwrap();
        let shown = run.probe.main_video().unwrap().1.display_size();
        assert_eq!((shown.width_px, shown.height_px), size, "{name}: probed size");
        assert_eq!(size_of(&run, 0), size, "{name}");
        let (_, facts) = run.output(0).2.probe.main_video().unwrap();
        assert_eq!((facts.quarter_turns, facts.mirrored), (0, false), "{name}");
        let (frames, width, height) = run.luma(0);
        let seen = quarters(&frames[5], width, height);
        assert!(
            seen.iter()
                .zip(expected)
                .all(|(seen, expected)| seen.abs_diff(expected) <= 4),
            "{name}: {seen:?}"
        );
    }
}

#[test]
fn pixels_become_square_and_sides_even() {
    let wide = clip(
        "anamorphic.mp4",
        "-f lavfi -i testsrc2=s=720x576:r=25:d=1 -vf setsar=64/45 -c:v libx264 -preset ultrafast",
    );
    assert_eq!(size_of(&process(&wide, &recipe(MP4)).unwrap(), 0), (1024, 576));
    let odd = clip(
        "odd.mkv",
        "-f lavfi -i testsrc=s=321x241:r=25:d=1 -pix_fmt yuv444p -c:v libx264",
    );
    assert_eq!(size_of(&process(&odd, &recipe(MP4)).unwrap(), 0), (322, 242));
    let tiny = clip("tiny.mkv", "-f lavfi -i color=red:s=2x2:r=25:d=0.2 -c:v png");
    assert_eq!(size_of(&process(&tiny, &recipe(MP4)).unwrap(), 0), (2, 2));
}

#[test]
fn positions_are_kept_for_odd_sizes_and_non_square_pixels() {
    let video = |size: &str| format!("color=black:s={size}:r=10:d=0.5,format=yuv444p,drawbox=200:100:40:40:white:fill");
    for (name, source, filter, squeeze) in [
        ("square-odd.mkv", video("321x241"), "null", (1.0, 1.0)),
        ("square-wide.mkv", video("320x240"), "setsar=2/1", (2.0, 1.0)),
        ("square-high.mkv", video("320x240"), "setsar=1/2", (1.0, 2.0)),
    ] {
        let arguments = [
            "-f", "lavfi", "-i", &source, "-vf", filter, "-c:v", "libx264", "-crf", "4",
        ];
        let run = process(&clip_with(name, &arguments), &recipe(MP4)).unwrap();
        let (frames, width, _) = run.luma(0);
        let white = |x: f64, y: f64| {
            let index = |at: f64, by: f64| format!("{:.0}", at * by).parse::<usize>().unwrap();
            frames[2][index(y, squeeze.1) * width + index(x, squeeze.0)] > 128
        };
        for (x, y) in [
            (220.0, 120.0),
            (203.0, 103.0),
            (236.0, 103.0),
            (203.0, 136.0),
            (236.0, 136.0),
        ] {
            assert!(white(x, y), "{name}: {x}, {y} is black");
        }
        for (x, y) in [(196.0, 120.0), (244.0, 120.0), (220.0, 96.0), (220.0, 144.0)] {
            assert!(!white(x, y), "{name}: {x}, {y} is white");
        }
    }
}

#[test]
fn a_frame_over_the_size_limit_is_refused() {
    let arguments = "-f lavfi -i color=black:s=16386x4098:r=1:d=1 -pix_fmt gray -c:v png -frames:v 1";
    let failure = process(&clip("huge.mkv", arguments), &recipe(MP4)).unwrap_err();
    assert_eq!(failure.code, Code::PictureTooLarge);
}

#[test]
fn the_size_limit_applies_to_the_short_side_and_never_enlarges() {
    let source = clip(
        "portrait.mp4",
        "-f lavfi -i testsrc2=s=180x320:r=10:d=0.5 -c:v libx264 -preset ultrafast",
    );
    for (max_px, size) in [(90, (90, 160)), (180, (180, 320)), (720, (180, 320))] {
        let json =
            format!(r#"{{"frame":{{"max_short_side_px":{max_px}}},"outputs":[{{"kind":"mp4","video":{{"crf":8}}}}]}}"#);
        assert_eq!(size_of(&process(&source, &recipe(&json)).unwrap(), 0), size, "{max_px}");
    }
}

#[test]
fn a_source_with_one_frame_becomes_a_video_with_one_frame() {
    let source = clip(
        "single.mp4",
        "-f lavfi -i testsrc2=s=64x64:r=25:d=1 -frames:v 1 -c:v libx264",
    );
    let run = process(&source, &recipe(MP4)).unwrap();
    assert_eq!(run.report.outputs[0].frames, 1);
}

#[test]
fn padding_is_black_and_cropping_is_centered() {
    let source = quartered("quartered.mp4", &[]);
    let pad = r#"{"frame":{"aspect":"1:1"},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let run = process(&source, &recipe(pad)).unwrap();
    let (frames, width, height) = run.luma(0);
    assert_eq!((width, height), (160, 160));
    assert_eq!((frames[0][0], frames[0][159 * 160]), (16, 16));
    assert!(frames[0][50 * 160 + 20].abs_diff(40) <= 3);
    let crop =
        r#"{"frame":{"aspect":"1:1","fit":"crop","max_width_px":80},"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let run = process(&source, &recipe(crop)).unwrap();
    let (frames, width, height) = run.luma(0);
    assert_eq!((width, height), (80, 80));
    let seen = quarters(&frames[0], 80, 80);
    assert!(
        seen.iter()
            .zip([40, 90, 140, 190])
            .all(|(seen, expected)| seen.abs_diff(expected) <= 4),
        "{seen:?}"
    );
}

#[test]
fn a_change_of_the_frame_size_mid_stream_is_supported() {
    let one = clip(
        "size-a.ts",
        "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -c:v libx264 -preset ultrafast",
    );
    let two = clip(
        "size-b.ts",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=1 -c:v libx264 -preset ultrafast",
    );
    let source = one.with_file_name("size-changes.ts");
    std::fs::write(
        &source,
        [std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap()].concat(),
    )
    .unwrap();
    let run = process(&source, &recipe(MP4)).unwrap();
    assert_eq!(size_of(&run, 0), (320, 180));
    assert!(run.report.outputs[0].frames.abs_diff(50) <= 2, "{:?}", run.report);
}

#[test]
fn a_change_of_orientation_mid_stream_adds_bars() {
    let part = |name: &str, size: &str| {
        let video = format!("color=white:s={size}:r=30:d=1");
        let arguments = format!("-f lavfi -i {video} {H264}");
        clip(name, &arguments)
    };
    let (wide, high) = (
        part("orientation-wide.ts", "128x72"),
        part("orientation-high.ts", "72x128"),
    );
    let source = wide.with_file_name("orientation-change.ts");
    let both = [std::fs::read(&wide).unwrap(), std::fs::read(&high).unwrap()].concat();
    std::fs::write(&source, both).unwrap();
    for json in [
        MP4,
        r#"{"outputs":[{"kind":"mp4","video":{"crf":8}},{"kind":"mp4","name":"small","max_width_px":64,"video":{"crf":8}}]}"#,
    ] {
        let run = process(&source, &recipe(json)).unwrap();
        for output in 0..run.plan.outputs.len() {
            let (frames, width, height) = run.luma(output);
            assert!(frames.len().abs_diff(60) <= 1, "{} frames", frames.len());
            let row = |index: usize| &frames[index][height / 2 * width..][..width];
            assert!(row(10).iter().all(|luma| *luma > 200), "{json}: {:?}", row(10));
            // A frame of 72x128 that fits into 128x72 is 40 pixels wide.
            let portrait = row(50);
            let bright = portrait.iter().filter(|luma| **luma > 200).count();
            assert!(bright.abs_diff(width * 40 / 128) <= 4, "{json}: {portrait:?}");
            assert!(
                portrait[0] < 40 && portrait[width - 1] < 40 && portrait[width / 2] > 200,
                "{json}: {portrait:?}"
            );
        }
    }
}
