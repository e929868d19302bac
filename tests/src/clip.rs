//! Clips that tests generate with the `ffmpeg` command line, and `ffprobe` of files.

use crate::skip;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parameters of a generated clip.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Duration in seconds.
    pub seconds: f64,
    /// Frames per second.
    pub fps: u32,
    /// True if the clip has an audio stream, a tone.
    pub sound: bool,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            width: 320,
            height: 180,
            seconds: 2.0,
            fps: 25,
            sound: true,
        }
    }
}

/// A recipe that encodes slowly, for tests that interrupt a task while it is processed.
pub const SLOW: &str = r#"{ "outputs": [{ "kind": "mp4", "video": { "speed": "good" } }] }"#;

impl Clip {
    /// A clip that takes several seconds to encode with [`SLOW`].
    #[must_use]
    pub fn slow() -> Self {
        Self {
            width: 640,
            height: 360,
            seconds: 20.0,
            ..Self::default()
        }
    }

    /// Writes the clip into `directory` as an MP4 with H.264 and AAC, and returns its path.
    pub fn make(self, directory: &Path) -> PathBuf {
        let Self {
            width,
            height,
            seconds,
            fps,
            sound,
        } = self;
        let path = directory.join(format!("{width}x{height}-{seconds}s-{fps}-{sound}.mp4"));
        let picture = format!("testsrc2=size={width}x{height}:rate={fps}:duration={seconds}");
        let mut arguments = vec!["-f", "lavfi", "-i", &picture];
        let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
        if sound {
            arguments.extend(["-f", "lavfi", "-i", &tone, "-c:a", "aac", "-b:a", "96k"]);
        }
        arguments.extend(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]);
        ffmpeg(&arguments, &path);
        path
    }
}

/// Runs `ffmpeg -y ARGUMENTS PATH`.
pub fn ffmpeg(arguments: &[&str], path: &Path) {
    let mut command = Command::new("ffmpeg");
    let output = command
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The output of `ffprobe` for a path or URL: `format` and `streams`, with `nb_read_packets`.
pub fn ffprobe(file: impl AsRef<OsStr>) -> Value {
    let mut command = Command::new("ffprobe");
    command
        .args([
            "-v",
            "error",
            "-show_format",
            "-show_streams",
            "-count_packets",
            "-of",
            "json",
        ])
        .arg(file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The path of a recorded clip in the collection beside the repository. Returns `None` and prints why if it is not
/// there.
pub fn from_collection(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let path = root.join(name);
    if !path.exists() {
        skip::recorded_clips(name);
    }
    path.exists().then_some(path)
}
