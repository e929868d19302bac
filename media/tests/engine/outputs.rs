//! Posters, audio outputs, several outputs at once, downmixing, and cover art.

use crate::clips::{clip, flash_and_beep, frame_number, numbered};
use crate::harness::{Run, decode, process, recipe};
use domain::Code;
use domain::protocol::{OutputFacts, VerifyDepth};
use media::engine::{self, Cancel};

/// The number in the frame that a poster shows.
fn poster_number(run: &Run, index: usize) -> usize {
    let (frames, width, height) = run.luma(index);
    assert_eq!(frames.len(), 1);
    frame_number(&frames[0], width, height)
}

#[test]
fn a_poster_shows_the_requested_frame_alone_or_beside_a_video() {
    let encoding = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";
    let source = numbered("numbered.mp4", encoding);
    for (at_ms, number) in [
        (0, 0),
        (1_000, 30),
        (1_020, 30),
        (5_500, 165),
        (7_999, 239),
        (60_000, 239),
    ] {
        let poster = format!(r#"{{"kind":"poster","at_ms":{at_ms},"format":"png"}}"#);
        let alone = process(&source, &recipe(&format!(r#"{{"outputs":[{poster}]}}"#))).unwrap();
        assert_eq!(poster_number(&alone, 0), number, "alone at {at_ms} ms");
        assert!(alone.report.warnings.is_empty(), "{:?}", alone.report.warnings);
        let beside = process(
            &source,
            &recipe(&format!(r#"{{"outputs":[{{"kind":"mp4"}},{poster}]}}"#)),
        )
        .unwrap();
        assert_eq!(poster_number(&beside, 1), number, "beside a movie at {at_ms} ms");
    }
}

#[test]
fn a_jpeg_poster_is_scaled_to_the_requested_width() {
    let source = clip("white.mp4", "-f lavfi -i color=white:s=640x360:r=10:d=1 -c:v libx264");
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"poster","width_px":320}]}"#)).unwrap();
    let (_, made, checked) = run.output(0);
    let (stream, facts) = checked.probe.main_video().unwrap();
    assert_eq!(
        (stream.codec.as_str(), facts.width_px, facts.height_px),
        ("mjpeg", 320, 180)
    );
    assert_eq!((made.frames, made.duration_us), (1, 0));
}

#[test]
fn every_poster_format_keeps_the_colors_of_the_source() {
    for (color, expected) in [("0xc83020", [200, 48, 32]), ("0x20a040", [32, 160, 64])] {
        // Sources of this size without tags are assumed to be BT.709.
        let arguments = format!(
            "-f lavfi -i color={color}:s=1280x720:r=10:d=1,format=rgb24,\
            scale=out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int,format=yuv420p -c:v libx264 -crf 4"
        );
        let source = clip(&format!("{color}.mp4"), &arguments);
        for format in ["jpeg", "png", "webp"] {
            let json = format!(r#"{{"outputs":[{{"kind":"poster","width_px":320,"format":"{format}"}}]}}"#);
            let run = process(&source, &recipe(&json)).unwrap();
            let file = run.path(0);
            let rgb = decode(&file, &["-f", "rawvideo", "-pix_fmt", "rgb24"]);
            assert_eq!(rgb.len(), 320 * 180 * 3, "{format}");
            let middle = &rgb[(90 * 320 + 160) * 3..][..3];
            let error = middle
                .iter()
                .zip(expected)
                .map(|(value, expected)| value.abs_diff(expected))
                .max()
                .unwrap();
            assert!(error <= 4, "{format}: {middle:?}, not {expected:?}");
        }
    }
}

#[test]
fn posters_of_sources_with_rare_color_tags_keep_gray() {
    for matrix in ["fcc", "bt470bg", "smpte170m", "smpte240m"] {
        let arguments = format!(
            "-f lavfi -i color=gray:s=320x180:r=10:d=1 -c:v libx264 -colorspace {matrix} -color_trc smpte240m -color_primaries film"
        );
        let source = clip(&format!("{matrix}.mp4"), &arguments);
        for format in ["jpeg", "webp"] {
            let json = format!(r#"{{"outputs":[{{"kind":"poster","format":"{format}"}}]}}"#);
            let run = process(&source, &recipe(&json)).unwrap();
            let file = run.path(0);
            let rgb = decode(&file, &["-f", "rawvideo", "-pix_fmt", "rgb24"]);
            assert!(rgb.iter().all(|value| value.abs_diff(128) <= 3), "{matrix} {format}");
        }
    }
}

#[test]
fn several_outputs_share_one_decode() {
    let source = flash_and_beep("sync.mp4", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac");
    let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"mp4","name":"small","max_width_px":80},{"kind":"audio"},
        {"kind":"poster"},{"kind":"audio","format":"opus"},{"kind":"audio","format":"mp3"}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    let frames: Vec<_> = run.report.outputs.iter().map(|made| made.frames).collect();
    assert_eq!(frames, [180, 180, 0, 1, 0, 0]);
}

#[test]
fn audio_outputs_have_the_length_and_timing_of_the_trim() {
    let source = flash_and_beep("sync.mp4", "", "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac");
    for format in ["m4a", "mp3", "opus"] {
        let json = format!(r#"{{"trim":{{"start":1,"end":4.5}},"outputs":[{{"kind":"audio","format":"{format}"}}]}}"#);
        let run = process(&source, &recipe(&json)).unwrap();
        assert_eq!(run.report.outputs[0].duration_us, 3_500_000, "{format}");
        let samples = run.samples(0);
        let beep = samples.iter().position(|sample| sample.abs() > 0.1).unwrap() / 48;
        assert!(beep.abs_diff(1_000) <= 12, "{format}: beep at {beep} ms");
    }
}

#[test]
fn surround_is_downmixed_with_its_center_channel_and_without_clipping() {
    for (name, layout, channels) in [("surround.mkv", "5.1", 6), ("surround71.mkv", "7.1", 8)] {
        let full = vec!["0.99*sin(2*PI*400*t)"; channels].join("|");
        let audio = format!("aevalsrc=exprs='{full}':c={layout}:d=2:s=48000");
        let loud = crate::clips::clip_with(&format!("loud-{name}"), &["-f", "lavfi", "-i", &audio, "-c:a", "flac"]);
        let mut center = vec!["0"; channels];
        center[2] = "0.9*sin(2*PI*400*t)";
        let audio = format!("aevalsrc=exprs='{}':c={layout}:d=2:s=48000", center.join("|"));
        let quiet = crate::clips::clip_with(
            &format!("center-{name}"),
            &["-f", "lavfi", "-i", &audio, "-c:a", "flac"],
        );
        let peak = |source: &std::path::Path| {
            let run = process(source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
            assert_eq!(run.output(0).2.probe.main_audio().unwrap().1.channels, 2);
            run.samples(0)[4_800..86_400]
                .iter()
                .fold(0.0_f32, |peak, sample| peak.max(sample.abs()))
        };
        let (all, center_only) = (peak(&loud), peak(&quiet));
        assert!(all <= 1.0 && all > 0.7, "{name}: {all}");
        assert!(center_only > 0.15, "{name}: the center channel is {center_only}");
    }
}

#[test]
fn mono_is_kept_and_sample_rates_are_kept_or_converted_to_48_khz() {
    for (rate, expected) in [(44_100, 44_100), (48_000, 48_000), (8_000, 48_000), (96_000, 48_000)] {
        let source = clip(
            &format!("mono-{rate}.wav"),
            &format!("-f lavfi -i sine=f=300:r={rate}:d=2"),
        );
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
        let (_, facts) = run.output(0).2.probe.main_audio().unwrap();
        assert_eq!((facts.channels, facts.sample_rate_hz), (1, expected));
    }
}

#[test]
fn a_video_output_of_an_audio_source_is_refused() {
    let source = clip("mono-48000.wav", "-f lavfi -i sine=f=300:r=48000:d=2");
    let failure = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap_err();
    assert_eq!(failure.code, Code::NoVideoStream);
}

#[test]
fn cover_art_is_not_a_video_stream() {
    let cover = clip("cover.png", "-f lavfi -i color=blue:s=64x64 -frames:v 1");
    let cover = cover.to_str().unwrap();
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        "sine=d=2",
        "-i",
        cover,
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "copy",
        "-disposition:v",
        "attached_pic",
        "-c:a",
        "libmp3lame",
    ];
    let source = crate::clips::clip_with("covered.mp3", &arguments);
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"audio"}]}"#)).unwrap();
    assert!(run.probe.main_video().is_none());
    assert!(run.report.outputs[0].duration_us.abs_diff(2_000_000) < 60_000);
}

#[test]
fn damage_in_the_first_and_last_gop_of_an_output_is_counted() {
    let grain = "-f lavfi -i testsrc2=s=320x180:r=30:d=4,noise=all_seed=1:alls=9:allf=t";
    let source = clip(
        "grain.mp4",
        &format!("{grain} -c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
    );
    let run = process(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
    let (planned, made, _) = run.output(0);
    let path = run.scratch.path().join(&planned.file);
    let content = std::fs::read(&path).unwrap();
    let media = content.windows(4).position(|four| four == b"mdat").unwrap();
    let is_detected = |percent: &usize| {
        let mut bytes = content.clone();
        let at = media + (content.len() - media) * percent / 100;
        bytes[at..at + 40].iter_mut().for_each(|byte| *byte ^= 0x5a);
        std::fs::write(&path, bytes).unwrap();
        let found = engine::verify(run.scratch.path(), planned, made, VerifyDepth::Fast, &Cancel::new()).unwrap();
        matches!(found, OutputFacts::File(found) if found.decode_errors > 0)
    };
    // Four seconds are two GOPs. Some damage results in a valid bitstream by chance.
    for group in [3..48, 53..98] {
        let detected = group.clone().step_by(3).filter(is_detected).count();
        assert!(detected >= 12, "{detected} of 15 positions in {group:?} percent");
    }
}
