//! Adaptive streams, read as a player reads them: by the master playlist.

use crate::clips::{clip, flash_and_beep, number_of, numbered};
use crate::studio::{Take, decoded, recipe, shoot};
use domain::protocol::{Checked, CheckedHls};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CODED: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";
const WITH_SOUND: &str = "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac";

/// Makes a stream and verifies it; `wish` is the output's JSON after its kind.
fn stream(source: &Path, wish: &str) -> Take {
    shoot(source, &recipe(&format!(r#"{{"outputs":[{{"kind":"hls",{wish}}}]}}"#))).unwrap()
}

pub(crate) fn folder(take: &Take) -> PathBuf {
    take.scratch.path().join(&take.plan.outputs[0].file)
}

fn text(take: &Take, file: &str) -> String {
    fs::read_to_string(folder(take).join(file)).unwrap()
}

fn checked(take: &Take) -> &CheckedHls {
    let Checked::Hls(checked) = &take.checked[0] else {
        panic!("no stream: {:?}", take.checked)
    };
    checked
}

/// The values of an attribute in a playlist, in order.
fn values(playlist: &str, key: &str) -> Vec<String> {
    let ends: &[char] = if key.ends_with('"') { &['"'] } else { &[',', '\n'] };
    let found = playlist.split(key).skip(1);
    found.map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

/// The lengths of the segments of a playlist, in microseconds.
fn lengths_us(playlist: &str) -> Vec<u64> {
    let lengths = values(playlist, "#EXTINF:").into_iter();
    lengths
        .map(|seconds| seconds.replace('.', "").parse().unwrap())
        .collect()
}

/// The luma of every picture of a rung, as a player that stays on it shows them.
fn luma(take: &Take, rung: usize) -> Vec<Vec<u8>> {
    let facts = checked(take).rungs[rung].probe.main_video().unwrap().1;
    let (width, height) = (facts.width_px as usize, facts.height_px as usize);
    let map = format!("0:v:{rung}");
    let arguments = [
        "-map",
        &map,
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
    ];
    let raw = decoded(&folder(take).join("master.m3u8"), &arguments);
    let pictures = raw.chunks(width * height * 3 / 2);
    pictures.map(|picture| picture[..width * height].to_vec()).collect()
}

/// The number in every picture of a square rung.
fn numbers(take: &Take, rung: usize) -> Vec<usize> {
    let pictures = luma(take, rung).into_iter();
    pictures
        .map(|picture| number_of(&picture, picture.len().isqrt(), picture.len().isqrt()))
        .collect()
}

#[test]
fn every_rung_shows_every_picture_once_across_the_borders_of_segments() {
    let source = numbered("numbered.mp4", CODED);
    for single_file in [false, true] {
        let wish = format!(r#""ladder":[64,32],"segment_ms":1500,"single_file":{single_file},"video":{{"crf":8}}"#);
        let take = stream(&source, &wish);
        let all: Vec<_> = (0..240).collect();
        assert_eq!(
            (numbers(&take, 0), numbers(&take, 1)),
            (all.clone(), all),
            "{single_file}"
        );
        let found = checked(&take);
        assert_eq!(
            (found.segments, found.longest_us, found.target_us),
            (6, 1_500_000, 2_000_000)
        );
        assert!(found.aligned && found.independent);
        assert_eq!(
            found.rungs.iter().map(|rung| rung.frames).collect::<Vec<_>>(),
            [240, 240]
        );
        let mut files: Vec<_> = fs::read_dir(folder(&take))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| file.starts_with("32p"))
            .collect();
        files.sort();
        let expected: &[&str] = if single_file {
            &["32p.m3u8", "32p.mp4"]
        } else {
            &[
                "32p-0001.m4s",
                "32p-0002.m4s",
                "32p-0003.m4s",
                "32p-0004.m4s",
                "32p-0005.m4s",
                "32p-0006.m4s",
                "32p-init.mp4",
                "32p.m3u8",
            ]
        };
        assert_eq!(files, expected);
    }
}

#[test]
fn the_sound_is_a_group_of_its_own_in_step_with_the_pictures() {
    let source = flash_and_beep("sync.mp4", "", WITH_SOUND);
    for single_file in [false, true] {
        let take = stream(
            &source,
            &format!(r#""ladder":[90,46],"segment_ms":1000,"single_file":{single_file}"#),
        );
        for rung in [0, 1] {
            let flash = luma(&take, rung)
                .iter()
                .position(|picture| picture[picture.len() / 2] > 128);
            assert_eq!(flash, Some(60), "rung {rung}");
        }
        let raw = decoded(
            &folder(&take).join("master.m3u8"),
            &[
                "-map",
                "0:a:0",
                "-copyts",
                "-f",
                "f32le",
                // What lies before 0 is the run-up of the encoder.
                "-af",
                "aresample=first_pts=0,pan=mono|c0=c0",
            ],
        );
        let mut samples = raw
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let beep = samples.position(|sample| sample.abs() > 0.1).unwrap() / 48;
        assert!(beep.abs_diff(2_000) <= 12, "beep at {beep} ms");
        // A packet of sound is in the segment in which it begins.
        let (mut picture_us, mut sound_us) = (0, 0);
        let (pictures, sound) = (
            lengths_us(&text(&take, "90p.m3u8")),
            lengths_us(&text(&take, "audio.m3u8")),
        );
        assert_eq!((pictures.len(), sound.len()), (6, 6));
        for (picture, sound) in pictures.iter().zip(&sound) {
            assert!(
                (picture_us..picture_us + 21_334).contains(&sound_us),
                "{sound_us} for {picture_us}"
            );
            (picture_us, sound_us) = (picture_us + picture, sound_us + sound);
        }
        assert_eq!(
            checked(&take)
                .audio
                .as_ref()
                .unwrap()
                .probe
                .main_audio()
                .unwrap()
                .1
                .channels,
            1
        );
        assert!(text(&take, "master.m3u8").contains(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,URI=\"audio.m3u8\",\
             CHANNELS=\"1\"\n"
        ));
    }
}

#[test]
fn the_master_playlist_tells_the_truth() {
    let source = clip(
        "hls-film.mp4",
        "-f lavfi -i testsrc2=s=320x180:r=25:d=7 -f lavfi -i sine=d=7 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
    );
    let take = stream(&source, r#""ladder":[180,90],"segment_ms":2000"#);
    let master = text(&take, "master.m3u8");
    // The lengths in the playlist and the sizes of the files: the highest of about a segment, and that of all.
    let rates = |stem: &str| {
        let lengths = lengths_us(&text(&take, &format!("{stem}.m3u8")));
        let sizes = (1..=lengths.len()).map(|n| {
            fs::metadata(folder(&take).join(format!("{stem}-{n:04}.m4s")))
                .unwrap()
                .len()
        });
        let sizes: Vec<_> = sizes.collect();
        let rate = |bytes: u64, us: u64| (bytes * 8_000_000).div_ceil(us);
        let runs = (0..sizes.len()).flat_map(|from| (from + 1..=sizes.len()).map(move |to| from..to));
        let runs = runs.map(|run| (sizes[run.clone()].iter().sum(), lengths[run].iter().sum()));
        // From half the target of three seconds to one and a half.
        let runs = runs.filter(|(_, us)| (1_500_000..=4_500_000).contains(us));
        let peak = runs.map(|(bytes, us)| rate(bytes, us)).max().unwrap();
        (peak, rate(sizes.iter().sum(), lengths.iter().sum()))
    };
    let sound = rates("audio");
    for (place, stem) in ["180p", "90p"].iter().enumerate() {
        let pictures = rates(stem);
        assert_eq!(
            values(&master, ":BANDWIDTH=")[place],
            (pictures.0 + sound.0).to_string()
        );
        assert_eq!(
            values(&master, "AVERAGE-BANDWIDTH=")[place],
            (pictures.1 + sound.1).to_string()
        );
        let told = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-select_streams",
                "v:0",
                "-show_entries",
                "stream=profile,level",
                "-of",
                "default=nw=1:nk=1",
            ])
            .arg(folder(&take).join(format!("{stem}.m3u8")))
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let mut told = told.lines();
        assert_eq!(told.next(), Some("High"));
        let level = told.next().unwrap();
        let codecs = format!("avc1.6400{:02x},mp4a.40.2", level.parse::<u8>().unwrap());
        assert_eq!(values(&master, "CODECS=\"")[place], codecs);
    }
    assert_eq!(values(&master, "RESOLUTION="), ["320x180", "160x90"]);
    assert_eq!(values(&master, "FRAME-RATE="), ["25.000", "25.000"]);
    assert_eq!(
        lengths_us(&text(&take, "90p.m3u8")),
        [2_000_000, 2_000_000, 2_000_000, 1_000_000]
    );
}

#[test]
fn segments_of_a_fractional_rate_begin_together_and_are_no_longer_than_promised() {
    let source = clip(
        "hls-ntsc.mp4",
        "-f lavfi -i testsrc2=s=64x64:r=30000/1001:d=7 -f lavfi -i sine=d=7 -c:v libx264 -preset ultrafast -c:a aac",
    );
    let take = stream(&source, r#""ladder":[64,48,32],"segment_ms":2000"#);
    assert_eq!(values(&text(&take, "master.m3u8"), "FRAME-RATE=")[0], "29.970");
    for stem in ["64p", "48p", "32p", "audio"] {
        let playlist = text(&take, &format!("{stem}.m3u8"));
        assert_eq!(values(&playlist, "#EXT-X-TARGETDURATION:"), ["3"]);
        assert!(lengths_us(&playlist).iter().all(|us| *us <= 3_000_000), "{playlist}");
        if stem != "audio" {
            // The sum does not drift: 60 frames last 2.002 s.
            assert_eq!(lengths_us(&playlist)[..3], [2_002_000; 3], "{stem}");
        }
    }
    assert!(checked(&take).aligned);
}

#[test]
fn the_ladder_of_a_portrait_goes_by_the_shorter_side_and_silence_has_no_group() {
    let source = clip(
        "hls-portrait.mp4",
        "-f lavfi -i testsrc2=s=90x160:r=10:d=2 -c:v libx264 -pix_fmt yuv420p",
    );
    let take = stream(&source, r#""ladder":[1080,60]"#);
    let master = text(&take, "master.m3u8");
    assert_eq!(values(&master, "RESOLUTION="), ["90x160", "60x106"]);
    assert!(folder(&take).join("90p.m3u8").exists() && folder(&take).join("60p.m3u8").exists());
    assert!(!master.contains("AUDIO") && !master.contains("mp4a"), "{master}");
    assert!(!folder(&take).join("audio.m3u8").exists());
    assert_eq!(checked(&take).audio, None);
}

#[test]
fn one_frame_is_a_stream_too() {
    let source = clip(
        "hls-one.mp4",
        "-f lavfi -i testsrc2=s=64x64:r=25 -f lavfi -i sine -frames:v 1 -t 0.04 -c:v libx264 -c:a aac",
    );
    let take = stream(&source, r#""ladder":"auto""#);
    assert_eq!((take.report.outputs[0].frames, checked(&take).segments), (1, 1));
    assert_eq!(luma(&take, 0).len(), 1);
    assert_eq!(lengths_us(&text(&take, "64p.m3u8")), [40_000]);
}

#[test]
fn bumpers_and_a_watermark_are_in_every_rung() {
    let source = clip(
        "hls-grey.mp4",
        "-f lavfi -i color=gray:s=160x90:r=10:d=2 -c:v libx264 -pix_fmt yuv420p",
    );
    let json = r#"{"bumper":{"intro_ms":1000},"watermark":{"width_percent":50},
        "outputs":[{"kind":"hls","ladder":[90,46],"segment_ms":1000}]}"#;
    let take = shoot(&source, &recipe(json)).unwrap();
    for rung in [0, 1] {
        let pictures = luma(&take, rung);
        assert_eq!(pictures.len(), 30);
        let corner = |place: usize| pictures[place][0];
        assert!(corner(9) < 40 && corner(10) > 80, "the card is black, the film is grey");
        let changed = pictures[15]
            .iter()
            .filter(|luma| luma.abs_diff(pictures[15][0]) > 20)
            .count();
        assert!(changed > 20, "{changed} points of rung {rung} are of the watermark");
    }
}

#[test]
fn colors_are_the_same_in_every_rung_whatever_the_source_has() {
    for (name, coded) in [
        ("hls-blue-rgb.mov", "-c:v png -pix_fmt rgb24"),
        ("hls-blue-full.mov", "-c:v mjpeg -q:v 1 -pix_fmt yuvj420p"),
        (
            "hls-blue-hdr.mp4",
            "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le -color_trc arib-std-b67 -colorspace bt2020nc \
             -color_primaries bt2020",
        ),
    ] {
        let source = clip(name, &format!("-f lavfi -i color=0x30a0c0:s=320x180:r=5:d=1 {coded}"));
        // The second rung alone is made from the source itself.
        let pictures = [("[90,60]", 1), ("[60]", 0)].map(|(ladder, rung)| {
            let take = stream(&source, &format!(r#""ladder":{ladder},"video":{{"crf":1}}"#));
            luma(&take, rung).swap_remove(0)
        });
        let off = pictures[0]
            .iter()
            .zip(&pictures[1])
            .map(|(a, b)| f64::from(a.abs_diff(*b)));
        let mean = off.sum::<f64>() / pictures[0].len() as f64;
        assert!(mean < 2.0, "{name}: {mean} on average");
    }
}
