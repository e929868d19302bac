//! Output codecs in all containers that support them.

use crate::clips::{clip, flash_and_beep, numbered};
use crate::harness::{execute, inputs_of, plan, probe, process, recipe};
use domain::Recipe;
use domain::plan::{Content, VideoTrack};
use domain::recipe::VideoCodec;
use std::fs::File;
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p -t 2";

/// An output format.
#[derive(Clone, Copy, Debug)]
struct Format {
    container: &'static str,
    codec: &'static str,
    /// Low enough to keep the frame numbers legible.
    crf: u8,
}

const fn format(container: &'static str, codec: &'static str, crf: u8) -> Format {
    Format { container, codec, crf }
}

const FORMATS: [Format; 5] = [
    format("mp4", "h264", 8),
    format("mp4", "h265", 8),
    format("mp4", "av1", 10),
    format("webm", "vp9", 10),
    format("webm", "av1", 10),
];

/// A recipe with one output of this format.
fn recipe_for(Format { container, codec, crf }: Format) -> Recipe {
    recipe(&format!(
        r#"{{"outputs":[{{"kind":"{container}","video":{{"codec":"{codec}","crf":{crf},"speed":"fastest"}}}}]}}"#
    ))
}

/// Runs `ffprobe` on a stream. Returns the values of the entries, one line each.
fn ffprobe(file: &Path, stream: &str, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_entries", entries])
        .args(["-of", "csv=p=0"])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect()
}

#[test]
fn every_output_codec_keeps_every_frame_in_order() {
    let source = numbered("short.mp4", SOURCE);
    for format in FORMATS {
        let run = process(&source, &recipe_for(format)).unwrap();
        assert_eq!(run.frame_numbers(0), (0..60).collect::<Vec<_>>(), "{format:?}");
        let (_, made, checked) = run.output(0);
        assert_eq!((made.frames, made.duration_us), (60, 2_000_000), "{format:?}");
        assert!(
            checked.probe.start_us.abs() < 1_000,
            "{format:?}: {}",
            checked.probe.start_us
        );
        let file = run.path(0);
        let color = ffprobe(
            &file,
            "v",
            "stream=color_range,color_space,color_transfer,color_primaries",
        );
        assert_eq!(color, ["tv,smpte170m,smpte170m,smpte170m"], "{format:?}");
        if format.codec == "h265" {
            assert_eq!(ffprobe(&file, "v", "stream=codec_tag_string"), ["hvc1"]);
        }
    }
}

#[test]
fn audio_is_in_sync_with_every_output_codec() {
    let source = flash_and_beep("sync.mp4", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac");
    for format in FORMATS {
        let run = process(&source, &recipe_for(format)).unwrap();
        let (frames, _, _) = run.luma(0);
        let flash = frames.iter().position(|luma| luma[luma.len() / 2] > 128).unwrap();
        let beep = run.samples(0).iter().position(|sample| sample.abs() > 0.1).unwrap();
        assert_eq!(flash, 60, "{format:?}");
        assert!(beep.abs_diff(96_000) < 480, "{format:?}: the beep is at sample {beep}");
    }
}

#[test]
fn webm_audio_is_resampled_to_opus_at_48_khz() {
    let arguments = "-f lavfi -i testsrc2=s=64x64:r=25:d=1 -f lavfi -i sine=f=300:r=44100:d=1 -c:v libx264 -c:a aac";
    let run = process(&clip("cd.mp4", arguments), &recipe(r#"{"outputs":[{"kind":"webm"}]}"#)).unwrap();
    let (stream, facts) = run.output(0).2.probe.main_audio().unwrap();
    assert_eq!((stream.codec.as_str(), facts.sample_rate_hz), ("opus", 48_000));
    assert_eq!(run.samples(0).len().abs_diff(48_000) / 1_000, 0);
}

#[test]
fn webm_cues_precede_the_clusters() {
    let source = numbered("short.mp4", SOURCE);
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"webm"}]}"#)).unwrap();
    let bytes = std::fs::read(run.path(0)).unwrap();
    let find = |id: [u8; 4]| bytes.windows(4).position(|window| *window == id).unwrap();
    assert!(find([0x1c, 0x53, 0xbb, 0x6b]) < find([0x1f, 0x43, 0xb6, 0x75]));
}

#[test]
fn fixed_gops_are_kept_at_cuts() {
    // A cut every 11 frames, where an encoder with variable GOPs would insert a keyframe.
    let arguments = "-f lavfi -i testsrc2=s=128x96:r=25:d=3,hue=h='floor(n/11)*100':s=2 -c:v libx264 -crf 4";
    let source = clip("cuts.mp4", arguments);
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Vp9, VideoCodec::Av1] {
        let kind = if codec == VideoCodec::Vp9 { "webm" } else { "mp4" };
        let json = format!(r#"{{"outputs":[{{"kind":"{kind}","video":{{"crf":30,"speed":"fastest"}}}}]}}"#);
        let facts = probe(&source).unwrap();
        let mut plan = plan(&recipe(&json), &facts).unwrap();
        let Content::Movie(movie) = &mut plan.outputs[0].content else {
            panic!()
        };
        let VideoTrack::Encode(encode) = &mut movie.video else {
            panic!()
        };
        encode.codec = codec;
        encode.gop_frames = 20;
        encode.fixed_gops = true;
        encode.max_bitrate_bps = Some(200_000);
        let run = execute(&inputs_of(&[File::open(&source).unwrap()]), facts, plan).unwrap();
        let flags = ffprobe(&run.path(0), "v", "packet=flags");
        let keyframes: Vec<_> = (0..flags.len()).filter(|n| flags[*n].starts_with('K')).collect();
        assert_eq!(keyframes, [0, 20, 40, 60], "{codec:?}");
    }
}
