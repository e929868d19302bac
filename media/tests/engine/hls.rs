//! HLS outputs as a player decodes them: frames, audio, bumpers, watermark and colors of every rung.

use crate::clips::{clip, flash_and_beep, numbered};
use crate::harness::{process, recipe};
use crate::hls_player::{
    assert_audio_segments_aligned, beep_ms, checked, folder, luma, numbers, process_hls, read_file,
    segment_durations_us, segment_starts_us,
};
use std::fs;

const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -bf 3 -g 25 -pix_fmt yuv420p";
const H264_AAC: &str = "-c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a aac";

#[test]
fn every_rung_shows_every_frame_once_across_segments() {
    let source = numbered("numbered.mp4", H264);
    for single_file in [false, true] {
        let settings = format!(r#""ladder":[64,32],"segment_ms":1500,"single_file":{single_file},"video":{{"crf":8}}"#);
        let run = process_hls(&source, &settings);
        let all: Vec<_> = (0..240).collect();
        assert_eq!(
            (numbers(&run, 0), numbers(&run, 1)),
            (all.clone(), all),
            "{single_file}"
        );
        let found = checked(&run);
        assert_eq!(
            (found.segments, found.longest_us, found.target_us),
            (6, 1_500_000, 2_000_000)
        );
        assert!(found.aligned && found.independent);
        assert_eq!(
            found.rungs.iter().map(|rung| rung.frames).collect::<Vec<_>>(),
            [240, 240]
        );
        let mut files: Vec<_> = fs::read_dir(folder(&run))
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
fn audio_is_a_separate_group_aligned_with_the_video_segments() {
    let source = flash_and_beep("sync.mp4", "", H264_AAC);
    for single_file in [false, true] {
        let run = process_hls(
            &source,
            &format!(r#""ladder":[90,46],"segment_ms":1000,"single_file":{single_file},"video":{{"crf":23}}"#),
        );
        for rung in [0, 1] {
            let flash = luma(&run, rung).iter().position(|frame| frame[frame.len() / 2] > 128);
            assert_eq!(flash, Some(60), "rung {rung}");
        }
        let beep = beep_ms(&run);
        assert!(beep.abs_diff(2_000) <= 12, "beep at {beep} ms");
        assert_eq!(segment_starts_us(&run, "90p").len(), 6);
        assert_audio_segments_aligned(&run, "90p");
        assert_eq!(
            checked(&run)
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
        assert!(read_file(&run, "master.m3u8").contains(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,URI=\"audio.m3u8\",\
             CHANNELS=\"1\"\n"
        ));
    }
}

#[test]
fn a_single_frame_becomes_an_hls_output() {
    let source = clip(
        "hls-one.mp4",
        "-f lavfi -i testsrc2=s=64x64:r=25 -f lavfi -i sine -frames:v 1 -t 0.04 -c:v libx264 -c:a aac",
    );
    let run = process_hls(&source, r#""ladder":"auto""#);
    assert_eq!((run.report.outputs[0].frames, checked(&run).segments), (1, 1));
    assert_eq!(luma(&run, 0).len(), 1);
    assert_eq!(segment_durations_us(&read_file(&run, "64p.m3u8")), [40_000]);
}

#[test]
fn bumpers_and_a_watermark_are_in_every_rung() {
    let source = clip(
        "hls-grey.mp4",
        "-f lavfi -i color=gray:s=160x90:r=10:d=2 -c:v libx264 -pix_fmt yuv420p",
    );
    let json = r#"{"bumper":{"intro_ms":1000},"watermark":{"width_percent":50},
        "outputs":[{"kind":"hls","ladder":[90,46],"segment_ms":1000}]}"#;
    let run = process(&source, &recipe(json)).unwrap();
    for rung in [0, 1] {
        let frames = luma(&run, rung);
        assert_eq!(frames.len(), 30);
        let corner = |index: usize| frames[index][0];
        assert!(
            corner(9) < 40 && corner(10) > 80,
            "the bumper is black, the video is gray"
        );
        let changed = frames[15]
            .iter()
            .filter(|luma| luma.abs_diff(frames[15][0]) > 20)
            .count();
        assert!(
            changed > 20,
            "only {changed} pixels of rung {rung} are of the watermark"
        );
    }
}

#[test]
fn colors_are_the_same_in_every_rung_for_every_source_format() {
    for (name, encoding) in [
        ("hls-blue-rgb.mov", "-c:v png -pix_fmt rgb24"),
        ("hls-blue-full.mov", "-c:v mjpeg -q:v 1 -pix_fmt yuvj420p"),
        (
            "hls-blue-hdr.mp4",
            "-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le -color_trc arib-std-b67 -colorspace bt2020nc \
             -color_primaries bt2020",
        ),
    ] {
        let source = clip(
            name,
            &format!("-f lavfi -i color=0x30a0c0:s=320x180:r=5:d=1 {encoding}"),
        );
        // In a ladder of two, the second rung is scaled from the first one; alone, it is scaled from the source.
        let frames = [("[90,60]", 1), ("[60]", 0)].map(|(ladder, rung)| {
            let run = process_hls(&source, &format!(r#""ladder":{ladder},"video":{{"crf":1}}"#));
            luma(&run, rung).swap_remove(0)
        });
        let off = frames[0].iter().zip(&frames[1]).map(|(a, b)| f64::from(a.abs_diff(*b)));
        let mean = off.sum::<f64>() / frames[0].len() as f64;
        assert!(mean < 2.0, "{name}: {mean} on average");
    }
}
