//! Facts of the preset `idrl` that clients rely on, and the contents of progress and report.

use crate::clips::clip;
use crate::harness::{preset, process};
use domain::Rational;
use domain::probe::Size;

#[test]
fn the_preset_idrl_keeps_its_golden_facts() {
    let sources = [
        (
            "-f lavfi -i testsrc2=s=480x270:r=30:d=30.03 -f lavfi -i sine=f=440:d=30.03 -c:v libx264 -preset ultrafast -c:a aac",
            (480, 270),
            480,
            Some("aac"),
        ),
        (
            "-f lavfi -i testsrc2=s=960x540:r=25:d=13.35 -c:v libx264 -preset ultrafast",
            (960, 540),
            416,
            None,
        ),
        (
            "-f lavfi -i testsrc2=s=640x480:r=30:d=5.8 -f lavfi -i sine=f=440:d=5.8 -c:v libx264 -preset ultrafast -c:a aac",
            (640, 360),
            235,
            Some("aac"),
        ),
    ];
    for (index, (arguments, (width_px, height_px), frames, audio)) in sources.into_iter().enumerate() {
        let run = process(&clip(&format!("golden-{index}.mp4"), arguments), &preset("idrl")).unwrap();
        let (_, made, checked) = run.output(0);
        let (_, facts) = checked.probe.main_video().unwrap();
        assert_eq!(facts.display_size(), Size { width_px, height_px });
        assert!(made.frames.abs_diff(frames) <= 1, "{} frames", made.frames);
        assert_eq!(facts.average_fps, Rational::new(24, 1));
        assert_eq!(
            checked.probe.main_audio().map(|(stream, _)| stream.codec.as_str()),
            audio
        );
        assert!(run.report.warnings.is_empty(), "{:?}", run.report.warnings);
    }
}

#[test]
fn progress_rises_to_100_and_the_report_has_cpu_time_and_memory() {
    let source = clip(
        "golden-0.mp4",
        "-f lavfi -i testsrc2=s=480x270:r=30:d=30.03 -f lavfi -i sine=f=440:d=30.03 -c:v libx264 -preset ultrafast -c:a aac",
    );
    let run = process(&source, &preset("web")).unwrap();
    let percents: Vec<_> = run.progress.iter().map(|step| step.percent).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.last(), Some(&100));
    assert_eq!(run.progress.last().unwrap().frames, run.report.outputs[0].frames);
    assert!(
        run.report.cpu_ms > 0 && run.report.peak_memory_bytes > 1 << 20,
        "{:?}",
        run.report
    );
}
