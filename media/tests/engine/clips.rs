//! Test clips, made once with the `ffmpeg` command line and cached in the target directory.

use crate::skip;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Number of clips that this process has started to encode; makes the names of partial files unique.
static ENCODED: AtomicU32 = AtomicU32::new(0);

/// Returns the clip with this name. Encodes it with `ffmpeg ARGUMENTS FILE`, unless it is in the cache.
pub(crate) fn clip(name: &str, arguments: &str) -> PathBuf {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    clip_with(name, &arguments)
}

/// As [`clip`], for arguments that contain spaces.
pub(crate) fn clip_with(name: &str, arguments: &[&str]) -> PathBuf {
    // The directory is a hash of the arguments, so that tests may use a name for different clips.
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clips/{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).unwrap();
    let clip = folder.join(name);
    if !clip.exists() {
        // Written under a temporary name and renamed: tests run concurrently and may need the same clip.
        let number = ENCODED.fetch_add(1, Ordering::Relaxed);
        let partial = folder.join(format!("partial-{}-{number}-{name}", std::process::id()));
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(arguments)
            .arg(&partial)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::rename(&partial, &clip).unwrap();
    }
    clip
}

/// Writes a file with this name into a temporary directory, which is removed when the first value is dropped.
pub(crate) fn temp_file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Clips from real cameras and programs in `../shared/media`, if this machine has them.
pub(crate) fn real_clips() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(entries) = fs::read_dir(&folder) else {
        skip::recorded_clips("../shared/media");
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut clips: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
        .collect();
    clips.sort();
    clips
}

/// A filter graph for 8 seconds of 64x64 at 30 fps. Each frame shows its number as two base-16 digits, coded as the
/// luma of its halves; see [`frame_number`].
const NUMBERED: &str = "color=black:s=64x64:r=30:d=8,\
    geq=lum='if(lt(X,32),16+mod(N,16)*13,16+floor(N/16)*13)':cb=128:cr=128";

/// A clip of numbered frames without audio.
pub(crate) fn numbered(name: &str, encoding: &str) -> PathBuf {
    let mut arguments = vec!["-f", "lavfi", "-i", NUMBERED];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// A clip of numbered frames with audio at 48 kHz; `expression` is the sample value as a function of the time `t` in
/// seconds.
pub(crate) fn numbered_with_audio(expression: &str, name: &str, encoding: &str) -> PathBuf {
    let audio = format!("aevalsrc=exprs='{expression}':d=8:s=48000");
    let mut arguments = vec!["-f", "lavfi", "-i", NUMBERED, "-f", "lavfi", "-i", &audio];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// Reads the number from the luma plane of a frame of [`numbered`], scaled to any size: low digit left, high digit
/// right.
pub(crate) fn frame_number(luma: &[u8], width: usize, height: usize) -> usize {
    let digit = |x: usize| (usize::from(luma[height / 2 * width + x]).saturating_sub(16) + 6) / 13;
    digit(width * 3 / 4) * 16 + digit(width / 4)
}

/// A clip of six seconds with a white flash and a beep at two seconds, to measure if audio and video are in sync.
/// `audio_options` are the input options of the audio, such as an offset.
pub(crate) fn flash_and_beep(name: &str, audio_options: &str, encoding: &str) -> PathBuf {
    let video = "color=black:s=160x90:r=30:d=6,drawbox=enable='between(t,1.99,2.19)':c=white:t=fill";
    let audio = "aevalsrc=exprs='if(between(t,2,2.2),0.8*sin(2*PI*1000*t),0)':d=6:s=48000";
    let mut arguments = vec!["-f", "lavfi", "-i", video];
    arguments.extend(audio_options.split_whitespace());
    arguments.extend(["-f", "lavfi", "-i", audio]);
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}
