//! Clips made once with the `ffmpeg` command line and kept in the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static TURN: AtomicU32 = AtomicU32::new(0);

/// A clip with this name; `arguments` are those of the command line before the file to write.
pub(crate) fn clip(name: &str, arguments: &str) -> PathBuf {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    clip_with(name, &arguments)
}

/// As [`clip`], for arguments that contain spaces.
pub(crate) fn clip_with(name: &str, arguments: &[&str]) -> PathBuf {
    let shelf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips");
    fs::create_dir_all(&shelf).unwrap();
    let clip = shelf.join(name);
    let recipe = shelf.join(format!("{name}.args"));
    let wanted = arguments.join(" ");
    if !clip.exists() || fs::read_to_string(&recipe).ok().as_deref() != Some(&wanted) {
        // Written under another name first: tests run side by side.
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let half = shelf.join(format!("half-{}-{turn}-{name}", std::process::id()));
        let ran = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(arguments)
            .arg(&half)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        fs::rename(&half, &clip).unwrap();
        fs::write(&recipe, wanted).unwrap();
    }
    clip
}

/// The real clips, when this machine has them.
pub(crate) fn real_clips() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("skipped: there are no real clips in ../shared/media");
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut clips: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
        .collect();
    clips.sort();
    clips
}

/// Eight seconds of 64x64 at 30 fps whose frames carry their number: see [`number_of`].
const NUMBERED: &str = "color=black:s=64x64:r=30:d=8,\
    geq=lum='if(lt(X,32),16+mod(N,16)*13,16+floor(N/16)*13)':cb=128:cr=128";

/// [`NUMBERED`] without audio.
pub(crate) fn numbered(name: &str, encoding: &str) -> PathBuf {
    let mut arguments = vec!["-f", "lavfi", "-i", NUMBERED];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// [`NUMBERED`] over audio that `expression` tells in terms of the second `t`, at 48 kHz.
pub(crate) fn numbered_with_audio(expression: &str, name: &str, encoding: &str) -> PathBuf {
    let audio = format!("aevalsrc=exprs='{expression}':d=8:s=48000");
    let mut arguments = vec!["-f", "lavfi", "-i", NUMBERED, "-f", "lavfi", "-i", &audio];
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}

/// Reads the number in the luma of a picture of [`numbered`], in any size: low digit left, high digit right.
pub(crate) fn frame_number(luma: &[u8], width: usize, height: usize) -> usize {
    let digit = |x: usize| (usize::from(luma[height / 2 * width + x]).saturating_sub(16) + 6) / 13;
    digit(width * 3 / 4) * 16 + digit(width / 4)
}

/// Six seconds with a white flash and a beep that begin at two seconds, encoded as told.
pub(crate) fn flash_and_beep(name: &str, before_sound: &str, encoding: &str) -> PathBuf {
    let picture = "color=black:s=160x90:r=30:d=6,drawbox=enable='between(t,1.99,2.19)':c=white:t=fill";
    let sound = "aevalsrc=exprs='if(between(t,2,2.2),0.8*sin(2*PI*1000*t),0)':d=6:s=48000";
    let mut arguments = vec!["-f", "lavfi", "-i", picture];
    arguments.extend(before_sound.split_whitespace());
    arguments.extend(["-f", "lavfi", "-i", sound]);
    arguments.extend(encoding.split_whitespace());
    clip_with(name, &arguments)
}
