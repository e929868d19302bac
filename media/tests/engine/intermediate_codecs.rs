//! Formats of cameras and editing software: MXF, DV, and intermediate codecs such as FFV1, `ProRes` and `CineForm`.

use crate::clips::{clip, flash_and_beep, frame_number, numbered, temp_file};
use crate::harness::{probe, process, recipe};
use domain::{Code, FailureClass};

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

/// Name, encoding and frame rate of clips with audio.
const CLIPS: [(&str, &str, usize); 9] = [
    (
        "sync-mpeg2.mxf",
        "-c:v mpeg2video -q:v 2 -pix_fmt yuv422p -g 12 -bf 2 -c:a pcm_s16le",
        30,
    ),
    (
        "sync-hd.mxf",
        "-s 1280x720 -vf fps=25 -c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -c:a pcm_s24le",
        25,
    ),
    (
        "sync-prores.mxf",
        "-vf fps=25 -c:v prores -profile:v 2 -c:a pcm_s16le",
        25,
    ),
    (
        "sync-avc.mxf",
        "-vf fps=25 -c:v libx264 -preset ultrafast -g 25 -c:a pcm_s16le",
        25,
    ),
    (
        "sync.dv",
        "-s 720x576 -vf fps=25 -c:v dvvideo -pix_fmt yuv420p -ac 2 -c:a pcm_s16le",
        25,
    ),
    (
        "sync-dv.avi",
        "-s 720x576 -vf fps=25 -c:v dvvideo -pix_fmt yuv420p -ac 2 -c:a pcm_s16le",
        25,
    ),
    ("sync-ffv1.mkv", "-c:v ffv1 -level 3 -pix_fmt yuv422p10le -c:a flac", 30),
    ("sync-cineform.mov", "-s 320x240 -c:v cfhd -c:a pcm_s16le", 30),
    (
        "sync-dnxhr.mov",
        "-s 320x240 -c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p -c:a pcm_s16le",
        30,
    ),
];

#[test]
fn audio_is_in_sync_for_camera_and_editing_formats() {
    for (name, encoding, fps) in CLIPS {
        let source = flash_and_beep(name, "", encoding);
        let run = process(&source, &recipe(MP4)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let (frames, _, _) = run.luma(0);
        let flash = frames.iter().position(|luma| luma[luma.len() / 2] > 128).unwrap();
        let beep = run.samples(0).iter().position(|sample| sample.abs() > 0.1).unwrap();
        assert!(flash.abs_diff(2 * fps) <= 1, "{name}: the flash is in frame {flash}");
        assert!(beep.abs_diff(96_000) < 2_000, "{name}: the beep is at sample {beep}");
        let length_us = run.report.outputs[0].duration_us;
        assert!(length_us.abs_diff(6_000_000) <= 40_000, "{name}: {length_us}");
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn every_intermediate_codec_keeps_every_frame() {
    for (name, encoding) in [
        ("whole-ffv1.mkv", "-c:v ffv1"),
        ("whole-ffv1.avi", "-c:v ffv1 -pix_fmt bgr0"),
        ("whole-qtrle.mov", "-c:v qtrle"),
        ("whole-huffyuv.avi", "-c:v huffyuv -pix_fmt yuv422p"),
        ("whole-ffvhuff.mkv", "-c:v ffvhuff -pix_fmt yuv420p"),
        ("whole-utvideo.avi", "-c:v utvideo -pix_fmt yuv420p"),
        ("whole-magicyuv.avi", "-c:v magicyuv -pix_fmt yuv422p"),
        ("whole-v210.mov", "-c:v v210"),
        ("whole-raw.avi", "-c:v rawvideo -pix_fmt bgr24"),
        ("whole-raw.mov", "-c:v rawvideo -pix_fmt uyvy422"),
    ] {
        let source = numbered(name, &format!("{encoding} -t 2"));
        let run = process(&source, &recipe(MP4)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let (frames, width, height) = run.luma(0);
        let numbers: Vec<_> = frames.iter().map(|luma| frame_number(luma, width, height)).collect();
        assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "{name}");
        assert!(run.report.warnings.is_empty(), "{name}: {:?}", run.report.warnings);
    }
}

#[test]
fn an_mxf_with_too_many_streams_is_refused() {
    let audio_streams = "-map 1:a ".repeat(70);
    let source = clip(
        "many-streams.mxf",
        &format!(
            "-f lavfi -i testsrc2=s=64x64:r=25:d=0.4 -f lavfi -i sine=r=48000:d=0.4 -map 0:v {audio_streams} \
             -c:v mpeg2video -pix_fmt yuv422p -c:a pcm_s16le"
        ),
    );
    let failure = probe(&source).unwrap_err();
    assert_eq!(failure.code, Code::TooManyStreams, "{failure}");
}

#[test]
fn damaged_camera_files_become_a_video_or_fail_as_input_errors() {
    for (name, encoding, _) in CLIPS {
        let whole = std::fs::read(flash_and_beep(name, "", encoding)).unwrap();
        let cut = whole[..whole.len() / 3].to_vec();
        let mut header = whole.clone();
        let end = header.len().min(4_096);
        header[64..end].iter_mut().step_by(97).for_each(|byte| *byte ^= 0xff);
        let mut all = whole;
        all.iter_mut().skip(512).step_by(1_009).for_each(|byte| *byte ^= 0x5a);
        for (damage, bytes) in [("cut", cut), ("header", header), ("all over", all)] {
            let (_folder, path) = temp_file(name, &bytes);
            if let Err(failure) = process(&path, &recipe(MP4)) {
                let is_input_error = matches!(failure.class(), FailureClass::Input | FailureClass::Unsupported);
                assert!(is_input_error, "{name}, {damage}: {failure}");
            }
        }
    }
}
