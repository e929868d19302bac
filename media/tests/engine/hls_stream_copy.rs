//! HLS outputs whose largest rung is a stream copy of the source, segmented at its keyframes.

use crate::clips::{clip, flash_and_beep, numbered};
use crate::harness::{Run, process, recipe};
use crate::hls_player::{
    assert_audio_segments_aligned, attribute_values, beep_ms, bitrates, checked, folder, luma, numbers,
    numbers_of_segment, process_hls, read_file, segment_starts_us,
};
use domain::plan::{StreamAction, WarningCode};
use std::fs;
use std::path::Path;
use std::process::Command;

/// 30 frames per second with a keyframe at every 25th frame.
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";

/// Segment boundaries for segments of two seconds, in frames: the first keyframe at or after each multiple of 60, and
/// the end.
const BOUNDARIES: [usize; 5] = [0, 75, 125, 200, 240];

/// Stream, action and reason of each step of the output.
fn steps(run: &Run) -> Vec<(&str, StreamAction, &str)> {
    let steps = run.plan.outputs[0].steps.iter();
    steps
        .map(|step| (step.stream.as_str(), step.action, step.reason.as_str()))
        .collect()
}

/// Stream and action of each step of the output.
fn done(run: &Run) -> Vec<(&str, StreamAction)> {
    steps(run).into_iter().map(|(stream, done, _)| (stream, done)).collect()
}

fn ffprobe(path: &Path, arguments: &str) -> String {
    let ran = Command::new("ffprobe")
        .args(["-v", "error", "-of", "default=nw=1:nk=1"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

/// MD5 hashes of the packets of a stream, in file order.
fn packets(path: &Path, stream: &str) -> Vec<String> {
    let arguments =
        format!("-select_streams {stream} -show_packets -show_data_hash md5 -show_entries packet=data_hash");
    let printed = ffprobe(path, &arguments);
    let hashes = printed.lines().filter(|line| line.starts_with("MD5:"));
    hashes.map(str::to_owned).collect()
}

/// The parts of the `CODECS` attribute for the video stream of a file: profile and level (RFC 6381).
fn codec_of(path: &Path) -> (&'static str, String) {
    let text = ffprobe(path, "-select_streams v:0 -show_entries stream=profile,level");
    let mut lines = text.lines();
    let profile = match lines.next().unwrap() {
        "Main" => "avc1.4d",
        "High" => "avc1.64",
        other => panic!("{other}"),
    };
    (profile, format!("{:02x}", lines.next().unwrap().parse::<u8>().unwrap()))
}

#[test]
fn a_copied_rung_keeps_its_packets_and_starts_segments_at_keyframes() {
    for name in ["numbered.mp4", "numbered.mov", "numbered.mkv"] {
        let source = numbered(name, H264);
        for single_file in [false, true] {
            let settings = format!(r#""ladder":[64],"segment_ms":2000,"single_file":{single_file}"#);
            let run = process_hls(&source, &settings);
            assert_eq!(
                steps(&run),
                [("video", StreamAction::Copy, "it is already what was asked")],
                "{name}"
            );
            assert_eq!(numbers(&run, 0), (0..240).collect::<Vec<_>>(), "{name}");
            assert_eq!(
                packets(&folder(&run).join("64p.m3u8"), "v"),
                packets(&source, "v"),
                "{name}"
            );
            let made = &run.report.outputs[0];
            assert_eq!((made.frames, made.packets_from_us), (240, None), "{name}");
            assert!(made.duration_us.abs_diff(8_000_000) <= 1_000, "{name}: {made:?}");
            let found = checked(&run);
            assert!(found.independent && found.target_us == 3_000_000, "{name}: {found:?}");
            let begins = segment_starts_us(&run, "64p");
            let frames: Vec<_> = begins.iter().map(|us| (us * 30 + 500_000) / 1_000_000).collect();
            assert_eq!(frames, [0, 75, 125, 200], "{name}");
            if !single_file {
                for (index, boundary) in BOUNDARIES.windows(2).enumerate() {
                    assert_eq!(
                        numbers_of_segment(&run, 0, "64p", index + 1),
                        (boundary[0]..boundary[1]).collect::<Vec<_>>(),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn encoded_rungs_align_their_segments_with_a_copied_rung() {
    for name in ["numbered.mp4", "numbered.mkv"] {
        let source = numbered(name, H264);
        for single_file in [false, true] {
            let settings = format!(r#""ladder":[64,48,32],"segment_ms":2000,"single_file":{single_file}"#);
            let run = process_hls(&source, &settings);
            assert_eq!(
                steps(&run),
                [
                    ("video", StreamAction::Copy, "64p is already what was asked"),
                    ("video", StreamAction::Transcode, "smaller than the source: 48p, 32p"),
                ]
            );
            assert_eq!(packets(&folder(&run).join("64p.m3u8"), "v"), packets(&source, "v"));
            let found = checked(&run);
            assert!(found.aligned && found.independent, "{name}: {found:?}");
            for (rung, rendition) in ["64p", "48p", "32p"].into_iter().enumerate() {
                let all: Vec<_> = (0..240).collect();
                assert_eq!(numbers(&run, rung), all, "{name}, {rendition}");
                if !single_file {
                    for (index, boundary) in BOUNDARIES.windows(2).enumerate() {
                        assert_eq!(
                            numbers_of_segment(&run, rung, rendition, index + 1),
                            (boundary[0]..boundary[1]).collect::<Vec<_>>(),
                            "{name}, {rendition}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn audio_is_segmented_at_the_boundaries_of_the_copied_rung() {
    for (name, gop) in [
        ("cut-audio.mp4", "-g 20 -bf 2"),
        ("cut-audio.mkv", "-g 20 -bf 2"),
        ("cut-audio-rate.mkv", "-g 20 -bf 2 -r 30000/1001"),
    ] {
        let encoding = format!("-c:v libx264 -preset ultrafast -pix_fmt yuv420p {gop} -c:a aac");
        let source = flash_and_beep(name, "", &encoding);
        for ladder in ["[90]", "[90,46]"] {
            for (audio, audio_step) in [
                ("", StreamAction::Copy),
                (r#","audio":{"bitrate_bps":96000}"#, StreamAction::Transcode),
            ] {
                let run = process_hls(&source, &format!(r#""ladder":{ladder},"segment_ms":1000{audio}"#));
                let context = format!("{name}, {ladder}, {audio_step:?}");
                let expected = [
                    ("video", StreamAction::Copy),
                    ("video", StreamAction::Transcode),
                    ("audio", audio_step),
                ];
                let expected: Vec<_> = expected
                    .into_iter()
                    .filter(|step| ladder == "[90,46]" || *step != ("video", StreamAction::Transcode))
                    .collect();
                assert_eq!(done(&run), expected, "{context}");
                assert_audio_segments_aligned(&run, "90p");
                // Every 20th of 30 frames per second is a keyframe.
                let boundaries = segment_starts_us(&run, "90p")
                    .into_iter()
                    .map(|us| (us * 30 + 500_000) / 1_000_000);
                assert_eq!(boundaries.collect::<Vec<_>>(), [0, 40, 60, 100, 120, 160], "{context}");
                let beep = beep_ms(&run);
                assert!(beep.abs_diff(2_000) <= 12, "{context}: beep at {beep} ms");
                let rungs = checked(&run).rungs.len();
                let flashes = (0..rungs).map(|rung| {
                    let frames = luma(&run, rung);
                    frames.iter().position(|frame| frame[frame.len() / 2] > 128)
                });
                assert!(flashes.clone().all(|flash| flash == Some(60)), "{context}");
            }
        }
    }
}

/// Settings of an HLS output, the name of its smallest rung, and `true` when its largest rung is copied from the
/// source.
const LADDERS: [(&str, &str, bool); 4] = [
    (r#""ladder":[90,46]"#, "46p", true),
    (r#""ladder":[90,46],"single_file":true"#, "46p", true),
    (r#""ladder":[90,46],"video":{"crf":30}"#, "46p", false),
    (
        r#""ladder":[90,46],"video":{"crf":30},"single_file":true"#,
        "46p",
        false,
    ),
];

#[test]
fn late_audio_starts_with_silence_and_without_an_empty_edit() {
    let encoding = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 20 -bf 2 -c:a aac";
    let right = flash_and_beep("cut-audio.mp4", "", encoding);
    let right = right.to_str().unwrap();
    // Before and after the first segment boundary of the video.
    for late_ms in [300, 1_700] {
        let arguments = format!("-i {right} -itsoffset {late_ms}ms -t 6 -i {right} -map 0:v -map 1:a -c copy");
        let source = clip(&format!("cut-audio-{late_ms}-late.mp4"), &arguments);
        for (settings, rung, copied) in LADDERS {
            let context = format!("{late_ms}, {settings}");
            let run = process_hls(&source, &format!(r#"{settings},"segment_ms":1000"#));
            assert_eq!(done(&run).contains(&("video", StreamAction::Copy)), copied, "{context}");
            // HLS players ignore an empty edit, which would delay the audio.
            let init = if settings.contains("single_file") {
                "audio.mp4"
            } else {
                "audio-init.mp4"
            };
            let init = std::fs::read(folder(&run).join(init)).unwrap();
            let edits = init.windows(4).position(|window| window == b"elst").unwrap();
            assert_ne!(
                init[edits + 16..edits + 20],
                [255; 4],
                "{context}: the first edit is empty"
            );
            let beep = beep_ms(&run);
            assert!(beep.abs_diff(2_000 + late_ms) <= 12, "{context}: beep at {beep} ms");
            assert!(segment_starts_us(&run, "audio").len() >= 6, "{context}");
            assert_audio_segments_aligned(&run, rung);
            assert_eq!(
                done(&run).last(),
                Some(&("audio", StreamAction::Transcode)),
                "{context}"
            );
        }
    }
}

#[test]
fn the_master_playlist_has_the_profile_and_bandwidth_of_a_copied_rung() {
    let source = clip(
        "hls-copied.mp4",
        "-f lavfi -i testsrc2=s=320x180:r=30000/1001:d=9 -f lavfi -i sine=d=9 -c:v libx264 -preset veryfast -profile:v main \
         -level 2.1 -g 60 -keyint_min 10 -pix_fmt yuv420p -c:a aac",
    );
    let run = process_hls(&source, r#""ladder":[180,90],"segment_ms":3000"#);
    assert_eq!(
        done(&run),
        [
            ("video", StreamAction::Copy),
            ("video", StreamAction::Transcode),
            ("audio", StreamAction::Copy)
        ]
    );
    let master = read_file(&run, "master.m3u8");
    let codecs = attribute_values(&master, "CODECS=\"");
    let (profile, level) = codec_of(&source);
    assert_eq!((profile, level.as_str()), ("avc1.4d", "15"));
    assert!(
        codecs[1].starts_with(profile) && codecs[1].ends_with(&format!("{level},mp4a.40.2")),
        "{codecs:?}"
    );
    assert!(codecs[0].starts_with("avc1.64"), "{codecs:?}");
    let audio = bitrates(&run, "audio");
    for (index, rendition) in ["90p", "180p"].iter().enumerate() {
        let video = bitrates(&run, rendition);
        let attributes = [":BANDWIDTH=", "AVERAGE-BANDWIDTH="]
            .map(|key| attribute_values(&master, key)[index].parse::<u64>().unwrap());
        assert_eq!(
            attributes,
            [video.peak_bps + audio.peak_bps, video.average_bps + audio.average_bps],
            "{rendition}"
        );
    }
    assert_eq!(attribute_values(&master, "RESOLUTION="), ["160x90", "320x180"]);
    assert_eq!(attribute_values(&master, "FRAME-RATE="), ["29.970", "29.970"]);
    // The first keyframe after three seconds is frame 120, at 4.004 s.
    let lengths: Vec<_> = ["180p", "90p"]
        .map(|rendition| segment_starts_us(&run, rendition))
        .to_vec();
    assert_eq!(lengths[0], lengths[1]);
    for rendition in ["180p", "90p", "audio"] {
        let target = attribute_values(&read_file(&run, &format!("{rendition}.m3u8")), "#EXT-X-TARGETDURATION:");
        assert_eq!(
            target,
            [(checked(&run).target_us / 1_000_000).to_string()],
            "{rendition}"
        );
        assert!(checked(&run).longest_us <= checked(&run).target_us);
    }
}

#[test]
fn a_source_with_keyframes_too_far_apart_is_encoded() {
    let source = numbered(
        "numbered-gop-100.mp4",
        "-c:v libx264 -preset ultrafast -g 100 -pix_fmt yuv420p",
    );
    for (segment_ms, expected) in [
        (
            3_000,
            (
                "video",
                StreamAction::Transcode,
                "its keyframes are up to 3333 ms apart, for segments of 3000 ms",
            ),
        ),
        (4_000, ("video", StreamAction::Copy, "it is already what was asked")),
    ] {
        let run = process_hls(&source, &format!(r#""ladder":[64],"segment_ms":{segment_ms}"#));
        assert_eq!(steps(&run), [expected]);
        assert_eq!(numbers(&run, 0), (0..240).collect::<Vec<_>>());
    }
}

#[test]
fn a_fast_trim_of_a_copied_rung_starts_at_a_keyframe() {
    let source = numbered("numbered.mp4", H264);
    let json = r#"{"trim":{"start":2,"end":6,"mode":"fast"},
        "outputs":[{"kind":"hls","ladder":[64],"segment_ms":1500}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    assert_eq!(done(&run), [("video", StreamAction::Copy)]);
    assert_eq!(numbers(&run, 0), (50..180).collect::<Vec<_>>());
    let made = &run.report.outputs[0];
    assert!(made.packets_from_us.unwrap().abs_diff(1_666_667) < 1_000, "{made:?}");
    // Segments of 45 frames (1.5 s) end at the next keyframe; keyframes are 25 frames apart.
    let frames = segment_starts_us(&run, "64p")
        .into_iter()
        .map(|us| (us * 30 + 500_000) / 1_000_000);
    assert_eq!(frames.collect::<Vec<_>>(), [0, 50, 100]);
}

#[test]
fn a_copied_rung_with_damaged_packets_is_encoded() {
    let source = clip(
        "hls-to-damage.mp4",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p",
    );
    let mut bytes = fs::read(&source).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3_000].fill(0);
    let damaged = tempfile::NamedTempFile::new().unwrap();
    fs::write(damaged.path(), bytes).unwrap();
    for ladder in ["[90]", "[90,46]"] {
        let settings = format!(r#""ladder":{ladder},"segment_ms":1000"#);
        assert_eq!(done(&process_hls(&source, &settings))[0], ("video", StreamAction::Copy));
        let run = process_hls(damaged.path(), &settings);
        assert_eq!(done(&run), [("video", StreamAction::Transcode)], "{ladder}");
        let warnings: Vec<_> = run.report.warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(warnings, [WarningCode::SourceDamaged], "{ladder}");
    }
}
