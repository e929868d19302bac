//! How much memory a child takes for images that are small as files and large when they are decoded.

use crate::Story;
use crate::films::{answer, planned};
use crate::stage::Stage;
use domain::Recipe;
use domain::protocol::{Event, Image, Report, Request, Session};
use domain::recipe::Name;
use std::path::Path;
use std::process::Command;

pub(crate) const STORIES: &[Story] = &[(
    "an_image_takes_as_much_memory_as_its_pixels_however_many_outputs_show_it",
    an_image_takes_as_much_memory_as_its_pixels,
)];

const MIB: u64 = 1 << 20;

/// Five outputs, each of which shows the image.
const MARKED: &str = r#"{"bumper":{"image":"mark","intro_ms":200},
    "watermark":{"image":"mark","width_percent":10,"opacity":0.5},
    "outputs":[{"kind":"mp4"},{"kind":"mp4","name":"b"},{"kind":"webm","video":{"speed":"fastest"}},
        {"kind":"poster"},{"kind":"gif"}]}"#;

/// Makes a file with the `ffmpeg` command line.
fn make(path: &Path, arguments: &str) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(path)
        .status();
    assert!(made.unwrap().success(), "{arguments}");
}

/// What making the outputs of a recipe came to, in a child of its own.
fn cost(session: &Session, recipe: &str) -> Report {
    let (mut child, plan) = planned(session, &Recipe::parse(recipe).unwrap());
    child.say(&Request::Transcode(Box::new(plan)));
    let Event::Transcoded(report) = answer(&mut child, recipe) else {
        panic!("no report: {recipe}")
    };
    assert_eq!(child.end(), Some(0));
    *report
}

fn an_image_takes_as_much_memory_as_its_pixels() {
    let stage = Stage::new();
    let source = stage.source().with_extension("mp4");
    make(
        &source,
        "-f lavfi -i color=gray:s=320x180:r=10:d=1 -c:v libx264 -preset ultrafast",
    );
    // The bytes of a pixel as it is decoded.
    for (file, format, pixel) in [
        ("rgb.png", "rgb24", 3),
        ("rgba64.png", "rgba64be", 8),
        ("color.jpg", "yuvj444p", 3),
    ] {
        let image = stage.source().with_file_name(file);
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
            ..stage.session()
        };
        let peak = cost(&session, MARKED).peak_memory_bytes;
        let bytes = std::fs::metadata(&image).unwrap().len();
        println!("{file}: {} KiB as a file, {} MiB at most", bytes >> 10, peak / MIB);
        // What outputs of this size take anyway, and the image once.
        assert!(peak < 300 * MIB + 4_096 * 4_096 * pixel, "{file}: {} MiB", peak / MIB);
    }
}
