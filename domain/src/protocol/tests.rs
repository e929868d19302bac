//! The messages about the largest accepted recipe fit into the maximum line length.

use super::*;
use crate::plan::{Clips, Content, CopyPolicy, plan};
use crate::{Limits, Recipe};
use serde_json::json;

/// The probe of the source and of both clips: 8K with audio.
fn source() -> Probe {
    let video = json!({
        "width_px": 8192, "height_px": 8192, "sample_aspect": "1/1", "quarter_turns": 0, "mirrored": false,
        "average_fps": "30000/1001", "base_fps": "30000/1001", "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false,
        "interlaced": false, "duration_us": 14_399_999_999_u64,
    });
    let audio =
        json!({ "sample_rate_hz": 192_000, "channels": 2, "duration_us": 14_399_999_999_u64, "bitrate_bps": null });
    let stream = |index: usize, kind: serde_json::Value| json!({ "index": index, "codec": "prores", "decodable": true, "default": true, "language": "eng", "kind": kind });
    let facts = json!({
        "container": "mov,mp4,m4a,3gp,3g2,mj2", "bytes": 1_u64 << 40, "duration_us": 14_399_999_999_u64, "start_us": 0,
        "streams": [stream(0, json!({ "video": video })), stream(1, json!({ "audio": audio }))],
    });
    serde_json::from_value(facts).unwrap()
}

/// A recipe with the maximum number of outputs, rungs and ranges, and the longest names and numbers.
fn largest_recipe() -> Recipe {
    let name = |index: usize| format!("{index:040}");
    let outputs = (0..12).map(|index| {
        json!({ "kind": "hls", "name": name(index), "ladder": (0..8).map(|n| 8_192 - 8 * n).collect::<Vec<_>>() })
    });
    let recipe = json!({
        "trim": { "ranges": vec![json!({ "start": 13_333.333_333, "end": 14_333.333_333 }); 50] },
        "bumper": { "intro_task": i64::MAX, "outro_task": i64::MAX },
        "watermark": { "image": name(99), "margin_px": 1_000, "start_ms": 3_599_999_998_u64, "end_ms": 3_599_999_999_u64 },
        "outputs": outputs.collect::<Vec<_>>(),
    });
    Recipe::parse(&recipe.to_string()).unwrap()
}

/// Limits that accept any amount of work.
fn unlimited() -> Limits {
    Limits {
        max_output_duration_us: u64::MAX,
        max_output_frames: u64::MAX,
        max_output_megapixels: u64::MAX,
        max_cpu_s: u64::MAX,
        ..Limits::default()
    }
}

/// The report of an output in which every number has the maximum number of digits.
fn largest_report(file: &str, copied: Copied) -> OutputReport {
    OutputReport {
        file: file.to_owned(),
        frames: u64::MAX,
        duration_us: u64::MAX,
        packets_from_us: Some(u64::MAX),
        audio_peak: Some(AudioPeak {
            at_us: u64::MAX,
            peak_permille: u32::MAX,
        }),
        copied,
        lost_audio: Some(LostAudio {
            at_us: u64::MAX,
            length_us: u64::MAX,
        }),
        dropped: Some(DroppedFrames {
            frames: u64::MAX,
            at_us: u64::MAX,
        }),
    }
}

#[test]
fn the_messages_about_the_largest_recipe_fit_into_half_of_a_line() {
    let source = source();
    let clips = Clips {
        intro: Some(&source),
        outro: Some(&source),
    };
    let plan = plan(&largest_recipe(), &source, clips, &unlimited(), CopyPolicy::default()).unwrap();
    let digest = StreamDigest {
        packets: u64::MAX,
        sum: u64::MAX,
    };
    let copied = Copied {
        video: Some(digest),
        audio: Some(digest),
    };
    let file = FileFacts {
        probe: source.clone(),
        index_first: true,
        starts_with_keyframe: true,
        frames: u64::MAX,
        decode_errors: u32::MAX,
        peak_permille: Some(u32::MAX),
        copied,
    };
    let (mut created, mut checked) = (Vec::new(), Vec::new());
    for output in &plan.outputs {
        let Content::Hls(hls) = &output.content else {
            panic!("{:?}", output.content)
        };
        assert_eq!(hls.rungs.len(), 8);
        let report = largest_report(&output.file, copied);
        created.push((output.clone(), report));
        checked.push(OutputFacts::Hls(HlsFacts {
            rungs: vec![file.clone(); 8],
            audio: Some(file.clone()),
            segments: u64::MAX,
            longest_us: u64::MAX,
            target_us: u64::MAX,
            aligned: true,
            independent: true,
        }));
    }
    let lines = [
        serde_json::to_string(&Request::Transcode(Box::new(plan))).unwrap(),
        serde_json::to_string(&Request::Verify(created)).unwrap(),
        serde_json::to_string(&Event::Verified(checked)).unwrap(),
    ];
    for line in lines {
        assert!(
            line.len() < MAX_LINE_BYTES / 2,
            "{} bytes: {}",
            line.len(),
            &line[..200]
        );
    }
}
