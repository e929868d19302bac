//! Bumper clips before and after the video, with their audio.

use crate::clips::{clip, frame_number, numbered};
use crate::harness::{Extras, Run, process_with, recipe};
use domain::Code;
use std::path::{Path, PathBuf};

const RECIPE: &str = r#"{"bumper":{},"watermark":{"position":"top-left","margin_px":0,"width_percent":50},
    "outputs":[{"kind":"mp4","video":{"crf":6}},{"kind":"audio"},{"kind":"poster","at_ms":0,"format":"png"}]}"#;

/// Two seconds of gray at 30 fps with a tone of 1,000 Hz.
fn source() -> PathBuf {
    clip(
        "body.mp4",
        "-f lavfi -i color=0x808080:s=160x90:r=30:d=2 -f lavfi -i sine=f=1000:d=2 -c:v libx264 -crf 4 -g 15 -c:a aac",
    )
}

/// Runs [`RECIPE`] with these bumper clips.
fn process_between(source: &Path, intro: Option<&Path>, outro: Option<&Path>) -> Run {
    let extras = Extras {
        intro,
        outro,
        ..Extras::default()
    };
    process_with(source, &extras, &recipe(RECIPE)).unwrap()
}

/// The frequency of the audio from the second `from` on, in Hz; 0 for silence.
fn frequency(samples: &[f32], rate: usize, from: f64, seconds: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let at = |seconds: f64| (seconds * rate as f64) as usize;
    let part = &samples[at(from)..at(from + seconds)];
    let crossings = part
        .windows(2)
        .filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0) && (pair[0] - pair[1]).abs() > 0.001)
        .count();
    crossings * rate / part.len() / 2
}

#[test]
fn bumper_clips_with_another_size_rate_and_audio_format_surround_the_video() {
    let intro = clip(
        "intro.mkv",
        "-f lavfi -i color=white:s=90x160:r=25:d=1 -f lavfi -i sine=f=400:d=1:r=44100 -c:v libx264 -crf 4 -c:a libvorbis \
         -ac 2",
    );
    let outro = clip(
        "outro.webm",
        "-f lavfi -i color=black:s=320x180:r=50:d=1.5 -c:v libvpx -b:v 1M",
    );
    let run = process_between(&source(), Some(&intro), Some(&outro));
    let (frames, width, _) = run.luma(0);
    assert_eq!(frames.len(), 30 + 60 + 45);
    let at = |frame: usize, x: usize| frames[frame][45 * width + x];
    for frame in [0, 15, 29] {
        // The portrait clip has bars and no watermark.
        assert_eq!((at(frame, 20), at(frame, 140)), (16, 16), "frame {frame}");
        assert!(at(frame, 80).abs_diff(235) <= 3, "frame {frame}: {}", at(frame, 80));
    }
    for frame in [30, 60, 89] {
        assert!(at(frame, 140).abs_diff(126) <= 4, "frame {frame}: {}", at(frame, 140));
        let corner = (0..80)
            .filter(|x| frames[frame][20 * width + x].abs_diff(126) > 20)
            .count();
        assert!(corner > 0, "frame {frame} has no watermark");
    }
    for frame in [90, 134] {
        assert!(frames[frame].iter().all(|luma| *luma <= 18), "frame {frame}");
    }
    let samples = run.samples(0);
    assert!(
        samples.len().abs_diff(44_100 * 9 / 2) <= 2_048,
        "{} samples",
        samples.len()
    );
    for (from, seconds, expected) in [(0.1, 0.8, 400), (1.1, 1.8, 1_000), (3.1, 1.3, 0)] {
        let measured = frequency(&samples, 44_100, from, seconds);
        assert!(measured.abs_diff(expected) <= 10, "{measured} Hz from {from} s");
    }
}

#[test]
fn only_videos_contain_bumper_clips() {
    let intro = clip(
        "white-intro.mp4",
        "-f lavfi -i color=white:s=160x90:r=30:d=1 -c:v libx264",
    );
    let run = process_between(&source(), Some(&intro), Some(&intro));
    assert_eq!(run.report.outputs[0].frames, 30 + 60 + 30);
    assert!(run.report.outputs[1].duration_us.abs_diff(2_000_000) <= 30_000);
    let (frames, width, height) = run.luma(2);
    assert!(
        frames[0][(height - 5) * width + 5].abs_diff(126) <= 4,
        "the poster shows the bumper clip"
    );
}

#[test]
fn bumper_clips_work_with_trim_ranges_and_a_still_outro() {
    let source = numbered(
        "numbered.mp4",
        "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p",
    );
    let extras = Extras {
        intro: Some(&source),
        ..Extras::default()
    };
    let json = r#"{"bumper":{"outro_ms":500},"trim":{"ranges":[{"start":3,"end":4},{"start":1,"end":2}]},
        "outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;
    let run = process_with(&source, &extras, &recipe(json)).unwrap();
    let (frames, width, height) = run.luma(0);
    let seen: Vec<_> = frames.iter().map(|luma| frame_number(luma, width, height)).collect();
    assert_eq!(seen[..300], (0..240).chain(90..120).chain(30..60).collect::<Vec<_>>());
    assert_eq!(seen.len(), 315);
}

#[test]
fn a_bumper_clip_with_audio_adds_no_audio_to_a_silent_video() {
    let silent = clip(
        "silent-body.mp4",
        "-f lavfi -i color=0x808080:s=160x90:r=30:d=1 -c:v libx264",
    );
    let extras = Extras {
        outro: Some(&source()),
        ..Extras::default()
    };
    let run = process_with(&silent, &extras, &recipe(r#"{"bumper":{},"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    assert_eq!(run.report.outputs[0].frames, 30 + 60);
    assert!(run.output(0).2.probe.main_audio().is_none());
}

#[test]
fn colors_of_a_bumper_clip_are_converted_between_matrices() {
    let tagged = |name: &str, color: &str, matrix: &str, tags: &str| {
        let arguments = format!(
            "-f lavfi -i color={color}:s=160x90:r=10:d=0.5 -vf scale=out_color_matrix={matrix},format=yuv420p \
             -c:v libx264 -crf 4 -color_primaries {tags} -color_trc {tags} -colorspace {tags}"
        );
        clip(name, &arguments)
    };
    let source = tagged("matrix-709.mp4", "0x20c020", "bt709", "bt709");
    let intro = tagged("matrix-601.mp4", "0x20c020", "bt601", "smpte170m");
    let extras = Extras {
        intro: Some(&intro),
        ..Extras::default()
    };
    let json = r#"{"bumper":{},"outputs":[{"kind":"mp4","video":{"crf":4}}]}"#;
    let run = process_with(&source, &extras, &recipe(json)).unwrap();
    let (frames, ..) = run.luma(0);
    assert!(
        frames[0][0].abs_diff(frames[7][0]) <= 2,
        "{} and {}",
        frames[0][0],
        frames[7][0]
    );
}

#[test]
fn a_bumper_clip_that_is_not_media_fails_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    std::fs::write(&path, b"hello").unwrap();
    let extras = Extras {
        intro: Some(&path),
        ..Extras::default()
    };
    assert_eq!(
        process_with(&source(), &extras, &recipe(RECIPE)).unwrap_err().code,
        Code::NotMedia
    );
}

#[test]
fn an_hls_output_contains_bumper_clips_and_trim_ranges() {
    let intro = clip(
        "white-intro.mp4",
        "-f lavfi -i color=white:s=160x90:r=30:d=1 -c:v libx264",
    );
    let extras = Extras {
        intro: Some(&intro),
        outro: Some(&intro),
        ..Extras::default()
    };
    let json =
        r#"{"bumper":{},"trim":{"ranges":[{"start":1,"end":1.5},{"start":0,"end":1}]},"outputs":[{"kind":"hls"}]}"#;
    let run = process_with(&source(), &extras, &recipe(json)).unwrap();
    assert_eq!(run.report.outputs[0].frames, 30 + 15 + 30 + 30);
}
