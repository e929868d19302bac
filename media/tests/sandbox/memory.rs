//! Memory of the child for files that are small, and large when decoded, within the limit of a small machine.

use crate::child::Child;
use crate::fixture::{Fixture, Test};
use crate::transcodes::{answer, closing_event, probe_and_plan};
use domain::plan::{Clips, CopyPolicy};
use domain::protocol::{Event, Image, Request, Session, TranscodeReport};
use domain::recipe::Name;
use domain::{Limits, Recipe};
use std::path::Path;
use std::process::Command;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_image_is_held_in_memory_once_for_all_outputs",
        an_image_is_held_in_memory_once_for_all_outputs,
    ),
    (
        "audio_with_absurd_headers_takes_no_memory",
        audio_with_absurd_headers_takes_no_memory,
    ),
    (
        "a_frame_of_the_largest_size_takes_the_memory_of_a_few_frames",
        a_frame_of_the_largest_size_takes_the_memory_of_a_few_frames,
    ),
];

const MIB: u64 = 1 << 20;

/// The least memory limit of a child, which it has on small machines.
const LEAST_LIMIT: u64 = 2 << 30;

/// Maximum peak of a child whose pictures are small.
const SMALL_PEAK: u64 = 300 * MIB;

/// Maximum peak of a child that decodes and encodes audio alone: twice what it is.
const AUDIO_PEAK: u64 = 100 * MIB;

/// Maximum number of frames that a decoder and its outputs hold at the same time.
const FRAMES_IN_MEMORY: u64 = 5;

/// Five outputs that show the image `mark`.
const RECIPE: &str = r#"{"bumper":{"image":"mark","intro_ms":200},
    "watermark":{"image":"mark","width_percent":10,"opacity":0.5},
    "outputs":[{"kind":"mp4"},{"kind":"mp4","name":"b"},{"kind":"webm","video":{"speed":"fastest"}},
        {"kind":"poster"},{"kind":"gif"}]}"#;

/// Creates a file with the `ffmpeg` command line.
pub(crate) fn make(path: &Path, arguments: &str) {
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

/// The peak of the resident memory of a process in bytes (`proc_pid_status(5)`).
fn peak_of(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Asserts that the peak for a file is below a maximum.
fn assert_peak(name: &str, file: &Path, peak: u64, max: u64) {
    let bytes = std::fs::metadata(file).unwrap().len();
    println!("{name}: {} KiB as a file, peak {} MiB", bytes >> 10, peak / MIB);
    assert!(peak < max, "{name}: {} MiB", peak / MIB);
}

fn an_image_is_held_in_memory_once_for_all_outputs() {
    let fixture = Fixture::new();
    let source = fixture.source().with_extension("mp4");
    make(
        &source,
        "-f lavfi -i color=gray:s=320x180:r=10:d=1 -c:v libx264 -preset ultrafast",
    );
    // Name, side, pixel format, and bytes per decoded pixel.
    for (file, side, format, pixel_bytes) in [
        ("rgb.png", 4_096, "rgb24", 3),
        ("rgba64.png", 4_096, "rgba64be", 8),
        ("largest.png", 8_192, "rgba64be", 8),
        ("color.jpg", 4_096, "yuvj444p", 3),
    ] {
        let image = fixture.source().with_file_name(file);
        make(
            &image,
            &format!("-f lavfi -i color=red:s={side}x{side} -frames:v 1 -pix_fmt {format}"),
        );
        let session = Session {
            sources: vec![source.clone()],
            images: vec![Image {
                name: serde_json::from_str::<Name>(r#""mark""#).unwrap(),
                path: image.clone(),
            }],
            max_memory_bytes: LEAST_LIMIT,
            ..fixture.session()
        };
        let peak = run_recipe(&session, RECIPE).peak_memory_bytes;
        // The decoded image is added once.
        assert_peak(file, &image, peak, SMALL_PEAK + side * side * pixel_bytes);
    }
}

/// A WAV file with this header and 10,000 bytes of silence.
fn wav(channels: u16, rate_hz: u32, block_bytes: u16) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate_hz.to_le_bytes());
    bytes.extend(rate_hz.wrapping_mul(block_bytes.into()).to_le_bytes());
    bytes.extend(block_bytes.to_le_bytes());
    bytes.extend(b"\x08\0data\x10\x27\0\0");
    bytes.extend([0x80; 10_000]);
    bytes
}

fn audio_with_absurd_headers_takes_no_memory() {
    let fixture = Fixture::new();
    for (name, channels, rate_hz, block_bytes) in [
        ("1 Hz", 1, 1, 1),
        ("2 GHz", 1, i32::MAX.cast_unsigned(), 1),
        ("65535 channels", u16::MAX, 8_000, u16::MAX),
        ("blocks of 64 KiB", 1, 8_000, u16::MAX),
        ("192 kHz", 2, 192_000, 2),
    ] {
        let source = fixture.source().with_extension("wav");
        std::fs::write(&source, wav(channels, rate_hz, block_bytes)).unwrap();
        let mut child = Child::start(&["mode:media"]);
        child.send(&Session {
            sources: vec![source.clone()],
            max_memory_bytes: LEAST_LIMIT,
            ..fixture.session()
        });
        assert!(matches!(child.receive(), Event::Ready(_)), "{name}");
        child.send(&Request::Probe(0));
        if let Some(Event::Probed(probe)) = answer(&mut child) {
            let recipe = Recipe::parse(r#"{"outputs":[{"kind":"audio"},{"kind":"audio","format":"opus"}]}"#).unwrap();
            let (clips, copies) = (Clips::default(), CopyPolicy::default());
            if let Ok(plan) = domain::plan(&recipe, &probe, clips, &Limits::default(), copies) {
                child.send(&Request::Transcode(Box::new(plan)));
                answer(&mut child);
            }
        }
        assert_peak(name, &source, peak_of(&child), AUDIO_PEAK);
        assert_eq!(child.close(), Some(0), "{name}");
    }
}

fn a_frame_of_the_largest_size_takes_the_memory_of_a_few_frames() {
    let fixture = Fixture::new();
    const SIDE: u64 = 8_192;
    for (file, encoding, pixel_bytes) in [
        ("largest.apng", "-c:v apng -pix_fmt rgb24 -pred none", 3),
        ("largest.gif", "-c:v gif", 4),
    ] {
        let source = fixture.source().with_file_name(file);
        make(
            &source,
            &format!("-f lavfi -i color=red:s={SIDE}x{SIDE}:r=2:d=1 {encoding}"),
        );
        let session = Session {
            sources: vec![source.clone()],
            max_memory_bytes: LEAST_LIMIT,
            ..fixture.session()
        };
        let peak = run_recipe(&session, r#"{"outputs":[{"kind":"poster","width_px":640}]}"#).peak_memory_bytes;
        assert_peak(
            file,
            &source,
            peak,
            SMALL_PEAK + FRAMES_IN_MEMORY * SIDE * SIDE * pixel_bytes,
        );
    }
}
