//! Memory of the child for images that are small as files and large when decoded.

use crate::fixture::{Fixture, Test};
use crate::transcodes::{closing_event, probe_and_plan};
use domain::Recipe;
use domain::protocol::{Event, Image, Request, Session, TranscodeReport};
use domain::recipe::Name;
use std::path::Path;
use std::process::Command;

pub(crate) const TESTS: &[Test] = &[(
    "an_image_is_held_in_memory_once_for_all_outputs",
    an_image_is_held_in_memory_once_for_all_outputs,
)];

const MIB: u64 = 1 << 20;

/// Five outputs that show the image `mark`.
const RECIPE: &str = r#"{"bumper":{"image":"mark","intro_ms":200},
    "watermark":{"image":"mark","width_percent":10,"opacity":0.5},
    "outputs":[{"kind":"mp4"},{"kind":"mp4","name":"b"},{"kind":"webm","video":{"speed":"fastest"}},
        {"kind":"poster"},{"kind":"gif"}]}"#;

/// Creates a file with the `ffmpeg` command line.
fn make(path: &Path, arguments: &str) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(path)
        .status();
    assert!(status.unwrap().success(), "{arguments}");
}

/// Runs a recipe in a child of its own and returns the report.
fn run_recipe(session: &Session, recipe: &str) -> TranscodeReport {
    let (mut child, plan) = probe_and_plan(session, &Recipe::parse(recipe).unwrap());
    child.send(&Request::Transcode(Box::new(plan)));
    let Event::Transcoded(report) = closing_event(&mut child, recipe) else {
        panic!("no report: {recipe}")
    };
    assert_eq!(child.close(), Some(0));
    *report
}

fn an_image_is_held_in_memory_once_for_all_outputs() {
    let fixture = Fixture::new();
    let source = fixture.source().with_extension("mp4");
    make(
        &source,
        "-f lavfi -i color=gray:s=320x180:r=10:d=1 -c:v libx264 -preset ultrafast",
    );
    // Name, pixel format, and bytes per decoded pixel.
    for (file, format, pixel_bytes) in [
        ("rgb.png", "rgb24", 3),
        ("rgba64.png", "rgba64be", 8),
        ("color.jpg", "yuvj444p", 3),
    ] {
        let image = fixture.source().with_file_name(file);
        make(
            &image,
            &format!("-f lavfi -i color=red:s=4096x4096 -frames:v 1 -pix_fmt {format}"),
        );
        let session = Session {
            sources: vec![source.clone()],
            images: vec![Image {
                name: serde_json::from_str::<Name>(r#""mark""#).unwrap(),
                path: image.clone(),
            }],
            ..fixture.session()
        };
        let peak = run_recipe(&session, RECIPE).peak_memory_bytes;
        let bytes = std::fs::metadata(&image).unwrap().len();
        println!("{file}: {} KiB as a file, peak {} MiB", bytes >> 10, peak / MIB);
        // The outputs need less than 300 MiB without the image. The decoded image is added once.
        assert!(
            peak < 300 * MIB + 4_096 * 4_096 * pixel_bytes,
            "{file}: {} MiB",
            peak / MIB
        );
    }
}
