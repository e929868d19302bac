//! Sprites and GIF outputs.

use crate::clips::{clip, frame_number, numbered};
use crate::harness::{Run, decode, process, recipe};
use domain::protocol::OutputFacts;
use std::path::Path;

const SOURCE: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// The cells of a sprite in the order of its WebVTT index: time in milliseconds, file, and luma.
fn cells(run: &Run, output: usize) -> Vec<(u64, String, Vec<u8>)> {
    let OutputFacts::Sprite(checked) = &run.checked[output] else {
        panic!()
    };
    let folder = run.path(output);
    let sheets: Vec<_> = (1..=checked.sheets.len())
        .map(|number| {
            let file = folder.join(format!("sheet-{number}.jpg"));
            decode(&file, &["-f", "rawvideo", "-pix_fmt", "gray"])
        })
        .collect();
    let index = std::fs::read_to_string(folder.join("sprite.vtt")).unwrap();
    let cues = index.split("\n\n").skip(1).map(|cue| {
        let (times, target) = cue.trim_end().split_once('\n').unwrap();
        let from: domain::Timecode = times.split(" --> ").next().unwrap().parse().unwrap();
        let (sheet, xywh) = target.split_once("#xywh=").unwrap();
        let xywh: Vec<usize> = xywh.split(',').map(|number| number.parse().unwrap()).collect();
        let number: usize = sheet[6..sheet.len() - 4].parse().unwrap();
        let width = usize::try_from(checked.sheets[number - 1].width_px).unwrap();
        let rows = sheets[number - 1].chunks(width).skip(xywh[1]).take(xywh[3]);
        let luma = rows.flat_map(|row| row[xywh[0]..xywh[0] + xywh[2]].to_vec()).collect();
        (from.ms(), sheet.to_owned(), luma)
    });
    cues.collect()
}

/// Reads the number of a full-range frame; [`frame_number`] expects limited range.
fn full_range_number(luma: &[u8], width: usize, height: usize) -> usize {
    let limited: Vec<_> = luma
        .iter()
        .map(|y| u8::try_from(16 + usize::from(*y) * 219 / 255).unwrap())
        .collect();
    frame_number(&limited, width, height)
}

/// The times in milliseconds and frame numbers of a sprite made from a clip of [`numbered`].
fn numbers(run: &Run, index: usize) -> Vec<(u64, usize)> {
    let numbers = cells(run, index).into_iter();
    numbers
        .map(|(ms, _, luma)| (ms, full_range_number(&luma, 64, 64)))
        .collect()
}

#[test]
fn a_sprite_shows_the_right_frames_alone_and_beside_a_video() {
    let source = numbered("numbered.mp4", SOURCE);
    let sprite = r#"{"kind":"sprite","every_ms":500,"width_px":64}"#;
    for (beside, index) in [("", 0), (r#"{"kind":"mp4"},"#, 1)] {
        let run = process(&source, &recipe(&format!(r#"{{"outputs":[{beside}{sprite}]}}"#))).unwrap();
        // A sprite without a video beside it may show a keyframe up to 250 ms earlier. Every 25th frame is one.
        for (n, (ms, number)) in (0..).zip(numbers(&run, index)) {
            let exact = n * 15;
            let is_near_keyframe = index == 0 && exact % 25 <= 7 && number == exact / 25 * 25;
            assert!(
                number == exact || is_near_keyframe,
                "beside {beside:?}, {ms} ms: {number}"
            );
        }
        let OutputFacts::Sprite(checked) = &run.checked[index] else {
            panic!()
        };
        assert_eq!((checked.cues, checked.end_us, checked.sheets.len()), (16, 8_000_000, 1));
        assert_eq!((checked.sheets[0].width_px, checked.sheets[0].height_px), (640, 128));
        assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
    }
}

#[test]
fn sprites_and_posters_alone_show_the_right_frames_for_every_gop_structure() {
    let h264 = "-c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p";
    for (name, encoding) in [
        ("stills-long.mp4", format!("{h264} -bf 3 -g 300")),
        (
            "stills-open.mp4",
            format!("{h264} -bf 3 -g 40 -x264-params open-gop=1:scenecut=0"),
        ),
        ("stills.ts", format!("{h264} -bf 2 -g 40")),
        ("stills.mkv", format!("{h264} -bf 2 -g 10")),
        ("stills.avi", "-c:v mpeg4 -q:v 1 -bf 2 -g 40".to_owned()),
        (
            "stills.webm",
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -crf 4 -b:v 0 -g 40".to_owned(),
        ),
    ] {
        let source = numbered(name, &encoding);
        let json = r#"{"trim":{"ranges":[{"start":1.1,"end":4.1},{"start":5,"end":7.5}]},"outputs":[
            {"kind":"sprite","every_ms":1000,"width_px":64},
            {"kind":"poster","at_ms":1500,"format":"png"},{"kind":"poster","at_ms":4500,"format":"png"}]}"#;
        let run = process(&source, &recipe(json)).unwrap();
        let found = numbers(&run, 0);
        for ((ms, number), expected) in found.iter().zip([33, 63, 93, 150, 180, 210]) {
            assert!(
                (expected - 15..=expected).contains(number),
                "{name} at {ms} ms: {number}, not {expected}"
            );
        }
        assert_eq!((found.len(), found[0].1), (6, 33), "{name}: {found:?}");
        for (index, expected) in [(1, 78), (2, 195)] {
            let (frames, width, height) = run.luma(index);
            assert_eq!(
                frame_number(&frames[0], width, height),
                expected,
                "{name}: poster {index}"
            );
        }
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn very_tall_sprite_cells_use_sheets_with_fewer_rows() {
    let source = clip(
        "minute-80.mp4",
        "-f lavfi -i testsrc2=s=80x36:r=5:d=52.2 -c:v libx264 -preset ultrafast -g 5",
    );
    for (aspect, rows, last) in [("1:100", 1, 5), ("1:40", 2, 5)] {
        let json = format!(
            r#"{{"frame":{{"aspect":"{aspect}","fit":"stretch"}},"outputs":[{{"kind":"sprite","every_ms":500}}]}}"#
        );
        let run = process(&source, &recipe(&json)).unwrap();
        let OutputFacts::Sprite(checked) = &run.checked[0] else {
            panic!()
        };
        let height = run.plan.outputs[0].content.size().unwrap().height_px;
        let sheets = checked.sheets.iter().map(|sheet| (sheet.width_px, sheet.height_px));
        let mut expected = vec![(800, rows * height); (104 / 10 / rows) as usize];
        expected.push((last * 80, height));
        assert_eq!(sheets.collect::<Vec<_>>(), expected, "{aspect}");
        assert_eq!(checked.cues, 105, "{aspect}");
    }
}

#[test]
fn more_than_100_cells_fill_several_sheets() {
    let source = clip(
        "minute.mp4",
        "-f lavfi -i testsrc2=s=64x36:r=5:d=52.2 -c:v libx264 -preset ultrafast -g 5",
    );
    let json = r#"{"outputs":[{"kind":"sprite","every_ms":500,"width_px":16}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let OutputFacts::Sprite(checked) = &run.checked[0] else {
        panic!()
    };
    let sizes: Vec<_> = checked
        .sheets
        .iter()
        .map(|sheet| (sheet.width_px, sheet.height_px))
        .collect();
    let height = sizes[1].1;
    assert_eq!((checked.cues, sizes), (105, vec![(160, height * 10), (80, height)]));
    assert_eq!(checked.end_us, 52_200_000);
    assert_eq!(cells(&run, 0)[100].1, "sheet-2.jpg");
}

/// The frame delays of a GIF in 1/100 s, and its loop count (0 is forever; `None` without a loop extension).
fn delays(file: &Path) -> (Vec<u16>, Option<u16>) {
    let bytes = std::fs::read(file).unwrap();
    let number = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let starts = |head: &'static [u8]| {
        let windows = bytes.windows(head.len()).enumerate();
        windows.filter(move |(_, window)| *window == head).map(|(at, _)| at)
    };
    // A graphic control extension (GIF89a §23) has four bytes and a terminating zero.
    let controls = starts(&[0x21, 0xf9, 4]).filter(|at| bytes[at + 7] == 0);
    let loops = starts(b"NETSCAPE2.0").map(|at| number(at + 13)).next();
    (controls.map(|at| number(at + 4)).collect(), loops)
}

/// The number in every frame of a square GIF.
fn gif_numbers(file: &Path, width: usize) -> Vec<usize> {
    let gray = decode(
        file,
        &[
            "-vsync",
            "passthrough",
            "-vf",
            "format=rgb24,format=gray",
            "-f",
            "rawvideo",
        ],
    );
    gray.chunks(width * width)
        .map(|luma| full_range_number(luma, width, width))
        .collect()
}

#[test]
fn a_gif_has_the_right_frames_delays_and_loops_forever() {
    let source = numbered("numbered.mp4", SOURCE);
    for (start_ms, end_ms, fps, every, first) in [
        (0, 2_000, 30, 1, 0),
        (2_000, 5_000, 10, 3, 60),
        (7_000, 20_000, 15, 2, 210),
    ] {
        let json = format!(
            r#"{{"outputs":[{{"kind":"gif","start_ms":{start_ms},"end_ms":{end_ms},"width_px":64,"fps":{fps}}}]}}"#
        );
        let run = process(&source, &recipe(&json)).unwrap();
        let (_, made, _) = run.output(0);
        let file = run.path(0);
        let count = (end_ms.min(8_000) - start_ms) / 1_000 * fps;
        let expected: Vec<_> = (0..count).map(|n| first + n * every).collect();
        assert_eq!(gif_numbers(&file, 64), expected, "from {start_ms} ms");
        assert_eq!(made.frames, u64::try_from(count).unwrap());
        let (delays, loops) = delays(&file);
        assert_eq!((delays.len(), loops), (count, Some(0)));
        let total: usize = delays.iter().map(|delay| usize::from(*delay)).sum();
        assert!(total.abs_diff(count * 100 / fps) <= 1, "{delays:?}");
        assert!(
            delays.iter().all(|delay| usize::from(*delay).abs_diff(100 / fps) <= 1),
            "{delays:?}"
        );
    }
}

#[test]
fn a_gif_has_the_watermark_and_the_colors_of_the_source() {
    let source = clip(
        "red.mp4",
        "-f lavfi -i color=0xc83020:s=320x180:r=10:d=3 -c:v libx264 -crf 4",
    );
    let json = r#"{"watermark":{"image":"logo","position":"top-left","width_percent":30,"start_ms":1000,"end_ms":2000},
        "outputs":[{"kind":"gif","end_ms":3000,"width_px":320,"fps":10}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let file = run.path(0);
    let rgb = decode(&file, &["-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
    let frames: Vec<_> = rgb.chunks(320 * 180 * 3).collect();
    let corner = |frame: &[u8]| -> Vec<u8> {
        (0..40)
            .flat_map(|y| frame[(y * 320) * 3..(y * 320 + 90) * 3].to_vec())
            .collect()
    };
    let differs = |n: usize| {
        corner(frames[n])
            .iter()
            .zip(corner(frames[0]))
            .any(|(a, b)| a.abs_diff(b) > 40)
    };
    let seen: Vec<_> = (0..30).filter(|n| differs(*n)).collect();
    assert_eq!(seen, (10..20).collect::<Vec<_>>());
    let far = &frames[15][(170 * 320 + 310) * 3..][..3];
    let error = far
        .iter()
        .zip([200_u8, 48, 32])
        .map(|(value, expected)| value.abs_diff(expected))
        .max()
        .unwrap();
    assert!(error <= 8, "{far:?}");
}

#[test]
fn a_large_gif_has_several_palettes_and_keeps_its_frames() {
    // More frames than are buffered for one palette; the last one has a color that the others do not have.
    let source = clip(
        "large.mp4",
        "-f lavfi -i color=0x2040c0:s=1920x1080:r=24:d=1,drawbox=t=fill:c=0xc83020:enable='gte(n,23)',\
        format=rgb24,scale=out_color_matrix=bt709,format=yuv420p -c:v libx264 -crf 4",
    );
    let json = r#"{"outputs":[{"kind":"gif","end_ms":1000,"width_px":1920,"fps":24}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let file = run.path(0);
    assert_eq!(delays(&file).0.len(), 24);
    let rgb = decode(
        &file,
        &[
            "-vsync",
            "passthrough",
            "-vf",
            "format=rgb24,crop=2:2",
            "-f",
            "rawvideo",
        ],
    );
    let frames: Vec<_> = rgb.chunks(12).collect();
    for (n, expected) in [(0, [32, 64, 192]), (22, [32, 64, 192]), (23, [200, 48, 32_u8])] {
        let error = frames[n]
            .iter()
            .zip(expected)
            .map(|(value, expected)| value.abs_diff(expected))
            .max()
            .unwrap();
        assert!(error <= 12, "frame {n}: {:?}", frames[n]);
    }
}
