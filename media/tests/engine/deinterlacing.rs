//! Deinterlacing: detection by the header or by the frames, and removal of combing.

use crate::clips::{clip, clip_with};
use crate::harness::{decode, process, recipe};

const MP4: &str = r#"{"outputs":[{"kind":"mp4","video":{"crf":8}}]}"#;

/// Counts combing artifacts: pixels that differ strongly from both vertical neighbors.
fn combing(luma: &[u8], width: usize) -> usize {
    let rows: Vec<_> = luma.chunks(width).collect();
    let mut count = 0;
    for three in rows.windows(3) {
        let sharp = |x: &usize| three[1][*x].abs_diff(three[0][*x]) > 60 && three[1][*x].abs_diff(three[2][*x]) > 60;
        count += (0..width).filter(sharp).count();
    }
    count
}

#[test]
fn interlaced_video_is_deinterlaced_and_progressive_video_is_not() {
    let interlaced = clip(
        "interlaced.ts",
        "-f lavfi -i testsrc2=s=320x240:r=50:d=2 -vf interlace -c:v mpeg2video -flags +ildct+ilme",
    );
    let progressive = clip(
        "progressive.ts",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=2 -c:v mpeg2video",
    );
    for (source, is_interlaced) in [(interlaced, true), (progressive, false)] {
        let run = process(&source, &recipe(MP4)).unwrap();
        assert_eq!(run.plan.video.unwrap().deinterlace, is_interlaced);
        assert_eq!(run.report.outputs[0].frames, 50);
    }
}

#[test]
fn interlacing_is_detected_by_header_or_frames_and_combing_is_removed() {
    let video =
        "color=black:s=320x240:r=50:d=2,geq=lum='if(lt(mod(X+N*6,80),40),40,210)':cb=128:cr=128,interlace=lowpass=0";
    for (name, encoding) in [
        // Signaled by the header of the container or the stream.
        ("fields.ts", "-c:v mpeg2video -q:v 1 -flags +ildct+ilme"),
        // Signaled by the frames only.
        ("fields.avi", "-c:v mpeg4 -q:v 1 -flags +ildct+ilme"),
        ("fields-avc.ts", "-c:v libx264 -preset fast -crf 4 -x264opts tff=1"),
    ] {
        let mut arguments = vec!["-f", "lavfi", "-i", video, "-r", "25"];
        arguments.extend(encoding.split_whitespace());
        let source = clip_with(name, &arguments);
        let before = decode(&source, &["-f", "rawvideo", "-pix_fmt", "gray"]);
        let run = process(&source, &recipe(MP4)).unwrap();
        assert!(run.plan.video.unwrap().deinterlace, "{name}");
        let (frames, width, _) = run.luma(0);
        let (before, after) = (
            combing(&before[320 * 240 * 20..320 * 240 * 21], 320),
            combing(&frames[20], width),
        );
        assert!(
            before > 2_000 && after < before / 10,
            "{name}: {before} combing pixels before, {after} after"
        );
    }
}

#[test]
fn progressive_video_with_line_patterns_is_not_deinterlaced() {
    // Every second line is white. Deinterlacing would make the frame gray or flicker.
    let video = "color=black:s=320x240:r=25:d=1,geq=lum='if(mod(Y,2),210,40)':cb=128:cr=128";
    let arguments = ["-f", "lavfi", "-i", video, "-c:v", "libx264", "-crf", "4"];
    let run = process(&clip_with("lines.mp4", &arguments), &recipe(MP4)).unwrap();
    assert!(!run.plan.video.unwrap().deinterlace);
    let (frames, width, _) = run.luma(0);
    assert!(combing(&frames[10], width) > 320 * 230);
}
