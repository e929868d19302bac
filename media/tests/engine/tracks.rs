//! What the container knows better than the bitstream, and which of several streams of pictures is the movie.

use crate::clips::{clip, clip_with, number_of, numbered};
use crate::player::{folder, stream};
use crate::studio::{probe, recipe, shoot};
use domain::Rational;
use std::path::Path;
use std::process::Command;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";
const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

#[test]
fn the_aspect_of_the_container_wins_over_that_of_the_bitstream() {
    // x264 writes 1:1 into the bitstream; only the container tells another shape.
    let square = clip(
        "square-pixels.mp4",
        "-f lavfi -i testsrc2=s=720x480:r=30:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p",
    );
    for (ending, aspect, size) in [
        ("mp4", "16:9", (854, 480)),
        ("mov", "16:9", (854, 480)),
        ("mkv", "16:9", (854, 480)),
        ("mkv", "4:3", (720, 540)),
    ] {
        let name = format!("aspect-{}.{ending}", aspect.replace(':', "-"));
        let source = clip_with(
            &name,
            &["-i", square.to_str().unwrap(), "-c", "copy", "-aspect", aspect],
        );
        let take = shoot(&source, &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#)).unwrap();
        let (_, facts) = take.output(0).2.probe.main_video().unwrap();
        let shown = (facts.width_px, facts.height_px);
        assert!(
            shown.0.abs_diff(size.0) <= 2 && shown.1.abs_diff(size.1) <= 2,
            "{name}: {shown:?}"
        );
    }
}

#[test]
fn an_aspect_that_cannot_be_is_asked_of_the_frames() {
    let phone = clip(
        "phone.mp4",
        "-f lavfi -i testsrc2=s=108x192:r=30:d=1,setsar=1 -c:v libx264 -pix_fmt yuv420p",
    );
    // 0.24 to 1.
    let arguments = ["-i", phone.to_str().unwrap(), "-c", "copy", "-aspect", "6:25"];
    let narrow = clip_with("phone-narrow.mkv", &arguments);
    let (_, facts) = probe(&narrow)
        .unwrap()
        .main_video()
        .map(|(s, f)| (s.index, f.clone()))
        .unwrap();
    assert_eq!(facts.sample_aspect, Rational { num: 1, den: 1 });
    // The first frame tells what the headers do not, here in a stream without a container's word.
    let wide = clip(
        "wide-pixels.ts",
        "-f lavfi -i testsrc2=s=720x480:r=30:d=1,setsar=32/27 -c:v libx264 -pix_fmt yuv420p",
    );
    let (_, facts) = probe(&wide)
        .unwrap()
        .main_video()
        .map(|(s, f)| (s.index, f.clone()))
        .unwrap();
    assert_eq!(facts.sample_aspect, Rational { num: 32, den: 27 });
}

/// The languages of the streams of a file, as `ffprobe` tells them.
fn languages(file: &Path) -> String {
    let arguments = ["-v", "error", "-show_entries", "stream_tags=language", "-of", "csv=p=0"];
    let told = Command::new("ffprobe").args(arguments).arg(file).output().unwrap();
    String::from_utf8(told.stdout).unwrap()
}

#[test]
fn the_language_of_the_sound_is_kept_in_every_container() {
    for ending in ["mp4", "mkv", "ts"] {
        let source = clip(
            &format!("spanish.{ending}"),
            &format!(
                "-f lavfi -i testsrc2=s=128x72:r=30:d=2 -f lavfi -i sine=d=2 {H264} -c:a aac -metadata:s:a:0 language=spa"
            ),
        );
        let json = r#"{"outputs":[{"kind":"mp4"},{"kind":"mp4","name":"new","video":{"crf":30},"audio":{"bitrate_bps":96000}},
            {"kind":"webm","video":{"speed":"fastest"}},{"kind":"audio"}]}"#;
        let take = shoot(&source, &recipe(json)).unwrap();
        for output in &take.plan.outputs {
            let found = languages(&take.scratch.path().join(&output.file));
            assert!(found.contains("spa"), "{ending}, {}: {found}", output.file);
        }
        let take = stream(&source, r#""ladder":[72]"#);
        let found = languages(&folder(&take).join("audio-init.mp4"));
        assert!(found.contains("spa"), "{ending}, stream: {found}");
    }
}

#[test]
fn the_movie_is_what_moves_and_not_a_few_large_stills() {
    let movie = numbered("numbered.mp4", H264);
    for (stills, every) in [(1, "1"), (2, "1.77"), (5, "0.5")] {
        let large = clip(
            &format!("large-{stills}.mp4"),
            &format!(
                "-f lavfi -i testsrc2=s=640x480:r=1/{every}:d=20 -c:v libx264 -pix_fmt yuv420p -frames:v {stills}"
            ),
        );
        for (ending, order, main) in [
            ("mp4", "-map 0:v -map 1:v -disposition:v default", 0),
            ("mp4", "-map 1:v -map 0:v -disposition:v default", 1),
            (
                "mov",
                "-map 0:v -map 1:v -disposition:v:0 0 -disposition:v:1 default",
                0,
            ),
            (
                "mkv",
                "-map 1:v -map 0:v -disposition:v:0 default -disposition:v:1 0",
                1,
            ),
        ] {
            let name = format!("motion-{stills}-{main}.{ending}");
            let arguments = format!("-i {} -i {} {order} -c copy", movie.display(), large.display());
            let source = clip(&name, &arguments);
            let take = shoot(&source, &recipe(MP4)).unwrap();
            assert_eq!(take.plan.video.unwrap().stream, main, "{name}");
            assert_eq!(take.numbers(0), (0..240).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn a_video_of_two_pictures_lasts_as_long_as_it_says() {
    for ending in ["mp4", "mov", "mkv", "ts"] {
        let name = format!("two-pictures.{ending}");
        // Each picture stands for 0.885 seconds: 1.77 in all, and not 3.55.
        let source = clip(
            &name,
            "-f lavfi -i testsrc2=s=320x240:r=200/177:d=5 -frames:v 2 -c:v libx264 -pix_fmt yuv420p",
        );
        let found = probe(&source).unwrap();
        let take = shoot(&source, &recipe(MP4)).unwrap();
        let made_us = take.report.outputs[0].duration_us;
        // Where the container does not tell how long the last picture stands, it stands for one interval of the rate.
        assert!(
            (1_680_000..=1_860_000).contains(&made_us),
            "{name}: {made_us} us, {:?}",
            found.duration_us
        );
    }
}

#[test]
fn of_two_movies_the_default_one_is_shown_and_then_the_larger() {
    let small = numbered("numbered.mp4", H264);
    let large = clip(
        "large-movie.mp4",
        "-f lavfi -i testsrc2=s=320x240:r=15:d=8 -c:v libx264 -pix_fmt yuv420p",
    );
    for (dispositions, main) in [
        ("-disposition:v:0 default -disposition:v:1 0", 0),
        ("-disposition:v:0 0 -disposition:v:1 default", 1),
        ("-disposition:v:0 default -disposition:v:1 default", 1),
    ] {
        let name = format!("two-movies-{}.mkv", dispositions.replace([':', ' '], "-"));
        let arguments = format!(
            "-i {} -i {} -map 0:v -map 1:v {dispositions} -c copy",
            small.display(),
            large.display()
        );
        let found = probe(&clip(&name, &arguments)).unwrap();
        assert_eq!(found.main_video().unwrap().0.index, main, "{dispositions}");
    }
}

#[test]
fn a_turn_of_the_phone_in_mid_recording_gets_bars() {
    let part = |name: &str, size: &str| {
        let picture = format!("color=white:s={size}:r=30:d=1");
        let arguments = format!("-f lavfi -i {picture} {H264}");
        clip(name, &arguments)
    };
    let (wide, high) = (part("turn-wide.ts", "128x72"), part("turn-high.ts", "72x128"));
    let source = wide.with_file_name("turn.ts");
    let both = [std::fs::read(&wide).unwrap(), std::fs::read(&high).unwrap()].concat();
    std::fs::write(&source, both).unwrap();
    for json in [
        MP4,
        r#"{"outputs":[{"kind":"mp4","video":{"crf":8}},{"kind":"mp4","name":"small","max_width_px":64,"video":{"crf":8}}]}"#,
    ] {
        let take = shoot(&source, &recipe(json)).unwrap();
        for place in 0..take.plan.outputs.len() {
            let (pictures, width, height) = take.luma(place);
            assert!(pictures.len().abs_diff(60) <= 1, "{} frames", pictures.len());
            let row = |picture: usize| &pictures[picture][height / 2 * width..][..width];
            assert!(row(10).iter().all(|luma| *luma > 200), "{json}: {:?}", row(10));
            // 72x128 in 128x72 is 40 wide.
            let turned = row(50);
            let bright = turned.iter().filter(|luma| **luma > 200).count();
            assert!(bright.abs_diff(width * 40 / 128) <= 4, "{json}: {turned:?}");
            assert!(
                turned[0] < 40 && turned[width - 1] < 40 && turned[width / 2] > 200,
                "{json}: {turned:?}"
            );
        }
    }
}

#[test]
fn a_trim_of_a_stream_that_is_refreshed_bit_by_bit_begins_with_the_picture_asked() {
    for (name, encoding) in [
        (
            "refresh.mp4",
            "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -x264-params intra-refresh=1:keyint=50",
        ),
        (
            "refresh.ts",
            "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -x264-params intra-refresh=1:keyint=50",
        ),
        (
            "refresh.mkv",
            "-c:v libx264 -preset ultrafast -crf 4 -bf 0 -x264-params intra-refresh=1:keyint=90",
        ),
    ] {
        let source = numbered(name, &format!("{encoding} -pix_fmt yuv420p"));
        let json = r#"{"trim":{"start":4.5,"end":5.5},"outputs":[{"kind":"mp4","video":{"crf":8}},{"kind":"poster","at_ms":0,"format":"png"}]}"#;
        let take = shoot(&source, &recipe(json)).unwrap();
        assert_eq!(take.numbers(0), (135..165).collect::<Vec<_>>(), "{name}");
        let (pictures, width, height) = take.luma(1);
        assert_eq!(number_of(&pictures[0], width, height), 135, "{name}");
        let stills = r#"{"outputs":[{"kind":"poster","at_ms":5000,"format":"png"}]}"#;
        let take = shoot(&source, &recipe(stills)).unwrap();
        let (pictures, width, height) = take.luma(0);
        assert_eq!(number_of(&pictures[0], width, height), 150, "{name}");
    }
}
