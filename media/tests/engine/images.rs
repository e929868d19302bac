//! Images as watermarks and bumpers: the built-in one, and uploaded ones.

use crate::clips::clip;
use crate::harness::{Extras, process, process_with, recipe};
use domain::Code;
use domain::recipe::Name;
use media::engine::Images;
use std::path::Path;
use std::process::Command;

/// A recipe with the image `mark` as an intro and as a watermark at the top left, 20 pixels wide, with a margin of 4.
const RECIPE: &str = r#"{"bumper":{"image":"mark","intro_ms":200},
    "watermark":{"image":"mark","position":"top-left","margin_px":4,"width_percent":10,"opacity":1},
    "outputs":[{"kind":"mp4","video":{"crf":4}}]}"#;

/// Five frames of 200x100 in gray.
fn gray() -> std::path::PathBuf {
    clip(
        "gray-200.mp4",
        "-f lavfi -i color=0x808080:s=200x100:r=10:d=0.5 -c:v libx264 -crf 4",
    )
}

/// The image `mark`.
fn images(bytes: Vec<u8>) -> Images {
    [(serde_json::from_str::<Name>(r#""mark""#).unwrap(), bytes)].into()
}

/// Position of a pixel.
#[derive(Clone, Copy)]
struct Pixel {
    x: usize,
    y: usize,
}

const fn pixel(x: usize, y: usize) -> Pixel {
    Pixel { x, y }
}

/// Red, green and blue of a pixel in a frame of a video of 200x100.
fn color(path: &Path, frame: usize, Pixel { x, y }: Pixel) -> [u8; 3] {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    let at = ((frame * 100 + y) * 200 + x) * 3;
    output.stdout[at..at + 3].try_into().unwrap()
}

/// Compares colors with a tolerance of 10.
fn is_near(seen: [u8; 3], expected: [u8; 3]) -> bool {
    seen.iter()
        .zip(expected)
        .all(|(seen, expected)| seen.abs_diff(expected) <= 10)
}

const RED: [u8; 3] = [220, 40, 40];
const PURE: [u8; 3] = [255, 0, 0];
const DARK: [u8; 3] = [60, 60, 60];
const LIGHT: [u8; 3] = [255, 255, 255];

/// The left half is red, the right half transparent.
const HALVES: &str = "color=0xdc2828:s=40x40,format=rgba,geq=r=220:g=40:b=40:a='if(lt(X,20),255,0)'";

/// Name, source, encoding, color of the left half, and color of the right half unless it is transparent.
type Kind = (&'static str, &'static str, &'static str, [u8; 3], Option<[u8; 3]>);

const KINDS: [Kind; 10] = [
    ("rgba.png", HALVES, "rgba", RED, None),
    ("rgba64.png", HALVES, "rgba64be", RED, None),
    ("rgb.png", "color=0xdc2828:s=40x40", "rgb24", RED, Some(RED)),
    ("palette.png", "color=red:s=40x40", "pal8", PURE, Some(PURE)),
    ("gray.png", "color=0x3c3c3c:s=40x40", "gray", DARK, Some(DARK)),
    ("gray16.png", "color=0x3c3c3c:s=40x40", "gray16be", DARK, Some(DARK)),
    (
        "bits.png",
        "color=white:s=40x40,format=gray",
        "monob",
        LIGHT,
        Some(LIGHT),
    ),
    ("color.jpg", "color=0xdc2828:s=40x40", "yuvj420p", RED, Some(RED)),
    ("c444.jpg", "color=0xdc2828:s=40x40", "yuvj444p", RED, Some(RED)),
    (
        "gray.jpg",
        "color=0x3c3c3c:s=40x40,format=gray",
        "gray -strict -2",
        DARK,
        Some(DARK),
    ),
];

#[test]
fn every_kind_of_png_and_jpeg_keeps_its_color() {
    for (name, source, encoding, left, right) in KINDS {
        let arguments: Vec<_> = ["-f", "lavfi", "-i", source, "-frames:v", "1", "-q:v", "2", "-pix_fmt"]
            .into_iter()
            .chain(encoding.split_whitespace())
            .collect();
        let bytes = std::fs::read(crate::clips::clip_with(name, &arguments)).unwrap();
        let extras = Extras {
            images: images(bytes),
            ..Extras::default()
        };
        let run = process_with(&gray(), &extras, &recipe(RECIPE)).unwrap();
        let video = run.path(0);
        // The intro has two frames and shows the image in its own size, 40x40, in the center. Then the video follows.
        let background = color(&video, 2, pixel(100, 50));
        for (frame, pixels, transparent) in [
            (0, [pixel(90, 50), pixel(112, 50)], [0; 3]),
            (2, [pixel(8, 14), pixel(20, 14)], background),
        ] {
            let seen = pixels.map(|pixel| color(&video, frame, pixel));
            assert!(is_near(seen[0], left), "{name}, frame {frame}: {seen:?}");
            assert!(
                is_near(seen[1], right.unwrap_or(transparent)),
                "{name}, frame {frame}: {seen:?}"
            );
        }
    }
}

#[test]
fn an_invalid_image_is_refused_by_its_name() {
    let png = std::fs::read(clip("red.png", "-f lavfi -i testsrc2=s=400x400 -frames:v 1")).unwrap();
    let jpeg = std::fs::read(clip("red.jpg", "-f lavfi -i testsrc2=s=400x400 -frames:v 1 -q:v 2")).unwrap();
    let mut huge = png.clone();
    huge[16..20].copy_from_slice(&8_193_u32.to_be_bytes());
    let cmyk = [&jpeg[..2], &[0xff, 0xc0, 0, 20, 8, 0, 40, 0, 40, 4], &jpeg[2..]].concat();
    let mut flipped = png.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    for (case, bytes) in [
        ("text", b"hello".to_vec()),
        ("an empty file", Vec::new()),
        ("a truncated PNG", png[..png.len() / 2].to_vec()),
        ("a truncated JPEG", jpeg[..jpeg.len() / 2].to_vec()),
        ("a PNG with a damaged byte", flipped),
        ("an oversized PNG", huge),
        ("a CMYK JPEG", cmyk),
    ] {
        let extras = Extras {
            images: images(bytes),
            ..Extras::default()
        };
        let failure = process_with(&gray(), &extras, &recipe(RECIPE))
            .map(|_| case)
            .unwrap_err();
        assert_eq!(failure.code, Code::RecipeInvalid, "{case}");
        assert!(failure.detail.contains("mark"), "{case}: {}", failure.detail);
    }
}

#[test]
fn bumpers_surround_the_video_and_the_watermark_covers_only_the_video() {
    let source = clip(
        "gray.mp4",
        "-f lavfi -i color=0x808080:s=640x360:r=10:d=2 -c:v libx264 -crf 4",
    );
    let json = r#"{"bumper":{"intro_ms":500,"outro_ms":300},
        "watermark":{"position":"bottom-right","margin_px":20,"width_percent":25,"start_ms":1000},
        "outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let (frames, width, height) = run.luma(0);
    assert_eq!(frames.len(), 5 + 20 + 3);
    let at = |frame: usize, x: usize, y: usize| frames[frame][y * width + x];
    for still in [0, 4, 25, 27] {
        assert_eq!(
            (at(still, 2, 2), at(still, width - 3, height - 3)),
            (16, 16),
            "corner of {still}"
        );
        assert!(at(still, width / 2, height / 2 - 37) > 60, "middle of {still}");
    }
    let background = at(5, 2, 2);
    assert!(background.abs_diff(126) <= 4, "{background}");
    // The watermark is 160x90 with a margin of 20. This pixel is within its badge.
    let badge = (width - 20 - 80, height - 20 - 90 + 33);
    for (frame, marked) in [(5, false), (14, false), (15, true), (24, true)] {
        let differs = at(frame, badge.0, badge.1).abs_diff(background) > 20;
        assert_eq!(differs, marked, "frame {frame}");
        assert!(
            at(frame, width - 10, height - 10).abs_diff(background) <= 4,
            "the margin of {frame}"
        );
    }
}

#[test]
fn a_timed_watermark_is_on_posters_and_exact_across_trim_ranges() {
    let source = clip(
        "gray.mp4",
        "-f lavfi -i color=0x808080:s=640x360:r=10:d=2 -c:v libx264 -crf 4",
    );
    let json = r#"{"trim":{"ranges":[{"end":1},{"start":1,"end":2}]},
        "watermark":{"position":"top-left","margin_px":0,"width_percent":50,"start_ms":500,"end_ms":1500},
        "outputs":[{"kind":"mp4","video":{"crf":8}},{"kind":"poster","at_ms":1000,"format":"png"},
            {"kind":"poster","at_ms":1700,"format":"png","name":"later"}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let marked = |luma: &[u8], width: usize| (0..160 * width).filter(|at| luma[*at].abs_diff(126) > 20).count() > 100;
    let (frames, width, _) = run.luma(0);
    let seen: Vec<_> = frames.iter().map(|luma| marked(luma, width)).collect();
    assert_eq!(seen, (0..20).map(|frame| (5..15).contains(&frame)).collect::<Vec<_>>());
    for (index, seen) in [(1, true), (2, false)] {
        let (frames, width, _) = run.luma(index);
        assert_eq!(marked(&frames[0], width), seen, "poster {index}");
    }
}
