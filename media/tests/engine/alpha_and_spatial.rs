//! Sources with an alpha channel, and spherical (360°) and stereoscopic (3D) sources.

use crate::clips::clip;
use crate::harness::{Run, process, recipe};
use crate::mp4_boxes::boxed;
use domain::plan::{StreamAction, WarningCode};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One second: the left half is white and transparent, the right half is gray and half transparent.
const TRANSPARENT: &str = "-f lavfi -i color=gray:s=128x64:r=10:d=1,format=rgba,geq=r='if(lt(X,64),255,200)':g='if(lt(X,64),255,200)':b='if(lt(X,64),255,200)':a='if(lt(X,64),0,128)'";

/// Name, encoding, and `true` for formats that support partial transparency.
const FORMATS: [(&str, &str, bool); 8] = [
    (
        "alpha-vp9.webm",
        "-c:v libvpx-vp9 -deadline realtime -crf 4 -b:v 0 -pix_fmt yuva420p",
        true,
    ),
    (
        "alpha-vp8.webm",
        "-c:v libvpx -auto-alt-ref 0 -deadline realtime -crf 4 -b:v 2M -pix_fmt yuva420p",
        true,
    ),
    (
        "alpha-prores.mov",
        "-c:v prores_ks -profile:v 4 -alpha_bits 16 -pix_fmt yuva444p10le",
        true,
    ),
    ("alpha-ffv1.mkv", "-c:v ffv1 -pix_fmt bgra", true),
    ("alpha-ffv1-yuva.mkv", "-c:v ffv1 -pix_fmt yuva420p10le", true),
    ("alpha-qtrle.mov", "-c:v qtrle -pix_fmt argb", true),
    ("alpha.apng", "-c:v apng -pix_fmt rgba", true),
    (
        "alpha.gif",
        "-filter_complex [0:v]split[a][b];[a]palettegen[p];[b][p]paletteuse=alpha_threshold=64",
        false,
    ),
];

/// The codes of all warnings of the plan and the report.
fn warning_codes(run: &Run) -> Vec<WarningCode> {
    let all = run.plan.warnings.iter().chain(&run.report.warnings);
    all.map(|warning| warning.code).collect()
}

#[test]
fn transparency_is_flattened_onto_black_with_a_warning() {
    for (name, encoding, has_partial_alpha) in FORMATS {
        let source = clip(name, &format!("{TRANSPARENT} {encoding}"));
        let mp4 = r#"{"outputs":[{"kind":"mp4","video":{"crf":4}}]}"#;
        let run = process(&source, &recipe(mp4)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(
            warning_codes(&run).contains(&WarningCode::AlphaFlattened),
            "{name}: {:?}",
            warning_codes(&run)
        );
        let (frames, width, height) = run.luma(0);
        assert_eq!(frames.len(), 10, "{name}");
        let middle = |x: usize| frames[5][height / 2 * width + x];
        // In limited range black is 16, and gray 200 is 188, or 102 when half transparent over black.
        assert!(middle(32) <= 20, "{name}: {}", middle(32));
        let expected = if has_partial_alpha { 102 } else { 188 };
        assert!(middle(96).abs_diff(expected) <= 6, "{name}: {}", middle(96));
    }
}

#[test]
fn an_opaque_alpha_channel_causes_no_warning() {
    for (name, encoding, _) in FORMATS {
        let source = clip(
            &format!("opaque-{name}"),
            &format!("-f lavfi -i testsrc2=s=128x64:r=10:d=1 {encoding}"),
        );
        let mp4 = r#"{"outputs":[{"kind":"mp4","video":{"crf":30}}]}"#;
        let run = process(&source, &recipe(mp4)).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert!(
            !warning_codes(&run).contains(&WarningCode::AlphaFlattened),
            "{name}: {:?}",
            warning_codes(&run)
        );
    }
}

/// The alpha value in the center of the left half of the first frame of a WebM.
fn alpha_on_the_left(path: &Path, decoder: &str) -> u8 {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-c:v", decoder, "-i"])
        .arg(path)
        .args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgba", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout[(32 * 128 + 32) * 4 + 3]
}

#[test]
fn a_webm_stream_copy_keeps_alpha_and_an_encode_flattens_it() {
    let (name, encoding, _) = FORMATS[0];
    let vp9 = clip(name, &format!("{TRANSPARENT} {encoding}"));
    assert!(alpha_on_the_left(&vp9, "libvpx-vp9") < 8);
    let default_settings = r#"{"outputs":[{"kind":"webm"}]}"#;
    let run = process(&vp9, &recipe(default_settings)).unwrap();
    let steps = &run.plan.outputs[0].steps;
    assert!(steps.iter().any(|step| step.action == StreamAction::Copy), "{steps:?}");
    assert!(alpha_on_the_left(&run.path(0), "libvpx-vp9") < 8);
    assert!(warning_codes(&run).is_empty(), "{:?}", warning_codes(&run));
    // No output has the codec VP8, so it is never copied.
    let (name, encoding, _) = FORMATS[1];
    let vp8 = clip(name, &format!("{TRANSPARENT} {encoding}"));
    assert!(alpha_on_the_left(&vp8, "libvpx") < 8);
    let encoded = r#"{"outputs":[{"kind":"webm","video":{"crf":10,"speed":"fastest"}}]}"#;
    for (source, json) in [(&vp9, encoded), (&vp8, encoded), (&vp8, default_settings)] {
        let run = process(source, &recipe(json)).unwrap();
        assert_eq!(warning_codes(&run), [WarningCode::AlphaFlattened], "{source:?}");
        let (frames, width, height) = run.luma(0);
        let left = frames[5][height / 2 * width + 32];
        assert!(left <= 22, "{source:?}: {left}");
    }
}

/// Appends a box to the sample description of the video track of an MP4 whose `moov` is its last box.
fn with_sample_box(bytes: &[u8], added: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let entry = bytes.windows(4).rposition(|window| window == b"avc1").unwrap() - 4;
    let size = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let end = entry + usize::try_from(size(&bytes, entry)).unwrap();
    bytes.splice(end..end, added.iter().copied());
    for name in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"] {
        let at = bytes[..end].windows(4).rposition(|window| window == name).unwrap() - 4;
        let grown = size(&bytes, at) + u32::try_from(added.len()).unwrap();
        bytes[at..at + 4].copy_from_slice(&grown.to_be_bytes());
    }
    bytes
}

/// An MP4 with the boxes of Google's Spherical Video V2: `sv3d` for an equirectangular projection, and `st3d` with this
/// stereo mode.
fn with_layout(folder: &Path, name: &str, is_sphere: bool, stereo_mode: Option<u8>) -> PathBuf {
    let flat = clip(
        "flat.mp4",
        "-f lavfi -i testsrc2=s=128x64:r=25:d=1 -c:v libx264 -g 25 -pix_fmt yuv420p",
    );
    let st3d = stereo_mode.map(|mode| boxed(b"st3d", &[0, 0, 0, 0, mode]));
    let projection = [boxed(b"prhd", &[0; 16]), boxed(b"equi", &[0; 20])].concat();
    let sphere = [boxed(b"svhd", &[0; 5]), boxed(b"proj", &projection)].concat();
    let sv3d = is_sphere.then(|| boxed(b"sv3d", &sphere));
    let added = st3d.into_iter().chain(sv3d).flatten().collect::<Vec<_>>();
    let path = folder.join(name);
    std::fs::write(&path, with_sample_box(&std::fs::read(flat).unwrap(), &added)).unwrap();
    path
}

#[test]
fn spherical_and_stereoscopic_layouts_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mp4 = |name: &str, is_sphere, stereo_mode| with_layout(folder.path(), name, is_sphere, stereo_mode);
    let side_by_side = clip(
        "side-by-side.mkv",
        "-f lavfi -i testsrc2=s=128x64:r=25:d=1 -c:v libx264 -g 25 -pix_fmt yuv420p -metadata:s:v stereo_mode=left_right",
    );
    for (source, layout) in [
        (mp4("sphere.mp4", true, None), "360° equirectangular"),
        (mp4("above.mp4", false, Some(1)), "3D top and bottom"),
        (mp4("beside.mp4", false, Some(2)), "3D side by side"),
        (
            mp4("both.mp4", true, Some(1)),
            "360° equirectangular, 3D top and bottom",
        ),
        (side_by_side, "3D side by side"),
    ] {
        // A stream copy and an encode.
        for video in ["", r#","video":{"crf":30}"#] {
            let json = format!(r#"{{"outputs":[{{"kind":"mp4"{video}}}]}}"#);
            let run = process(&source, &recipe(&json)).unwrap();
            let warning = run
                .plan
                .warnings
                .iter()
                .find(|warning| warning.code == WarningCode::SpatialLost);
            assert_eq!(
                warning.map(|warning| warning.detail.as_str()),
                Some(layout),
                "{source:?}"
            );
        }
        let run = process(&source, &recipe(r#"{"outputs":[{"kind":"poster"}]}"#)).unwrap();
        assert!(!warning_codes(&run).contains(&WarningCode::SpatialLost));
    }
    // Stereo mode 0 is monoscopic.
    let run = process(
        &mp4("one.mp4", false, Some(0)),
        &recipe(r#"{"outputs":[{"kind":"mp4"}]}"#),
    )
    .unwrap();
    assert!(!warning_codes(&run).contains(&WarningCode::SpatialLost));
}
