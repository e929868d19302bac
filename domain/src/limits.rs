//! What an installation accepts.

use crate::code::Code;
use crate::failure::Failure;
use crate::probe::{Probe, StreamKind};
use serde::{Deserialize, Serialize};

/// Most streams of pictures and sound that are looked into at all, whatever an installation accepts.
pub const MOST_STREAMS: usize = 64;

/// Most streams of other kinds: fonts, subtitles, covers, data.
pub const MOST_OTHER_STREAMS: usize = 256;

/// Most pixels of a picture that is decoded at all, whatever an installation accepts.
pub const MOST_PIXELS: u64 = 8_192 * 8_192;

/// Bounds of a source, of an upload, and of what one task makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest upload in bytes.
    pub max_upload_bytes: u64,
    /// Longest source in microseconds.
    pub max_duration_us: u64,
    /// Most streams of pictures and sound of a source.
    pub max_streams: usize,
    /// Most pixels of one picture.
    pub max_pixels: u64,
    /// Length of all outputs of a task together, in microseconds.
    pub max_output_duration_us: u64,
    /// Frames that a task encodes; those of each rung count.
    pub max_output_frames: u64,
    /// Pixels of these frames, in millions.
    pub max_output_megapixels: u64,
    /// Processor seconds that a task is estimated to take, before anything is learned from other tasks.
    pub max_cpu_s: u64,
}

impl Limits {
    /// # Errors
    /// The first limit that a source breaks, with its value and the limit.
    pub fn check(&self, probe: &Probe) -> Result<(), Failure> {
        let seconds = |us: u64| us / 1_000_000;
        let of_media = |kind: &StreamKind| matches!(kind, StreamKind::Video(_) | StreamKind::Audio(_));
        let media = probe.streams.iter().filter(|stream| of_media(&stream.kind)).count();
        bound_streams((media, self.max_streams), probe.streams.len() - media)?;
        if probe.duration_us > self.max_duration_us {
            let detail = format!(
                "{} s; accepted: at most {} s",
                seconds(probe.duration_us),
                seconds(self.max_duration_us)
            );
            return Err(Failure::input(Code::DurationTooLong, detail));
        }
        for stream in &probe.streams {
            if let StreamKind::Video(facts) = &stream.kind {
                bound_picture((facts.width_px, facts.height_px), self.max_pixels)?;
            }
        }
        Ok(())
    }
}

/// Bounds the streams of pictures and sound, with the most that are accepted, and those of other kinds.
///
/// # Errors
/// [`Code::TooManyStreams`] with their number and the most that are accepted.
pub fn bound_streams((media, most): (usize, usize), others: usize) -> Result<(), Failure> {
    let detail = if media > most {
        format!("{media} streams of pictures and sound; accepted: at most {most}")
    } else if others > MOST_OTHER_STREAMS {
        format!("{others} streams of other kinds; accepted: at most {MOST_OTHER_STREAMS}")
    } else {
        return Ok(());
    };
    Err(Failure::input(Code::TooManyStreams, detail))
}

/// Bounds the pixels of a picture of a width and a height.
///
/// # Errors
/// [`Code::PictureTooLarge`] with its size and the most pixels that are accepted.
pub fn bound_picture((width_px, height_px): (u32, u32), most: u64) -> Result<(), Failure> {
    if u64::from(width_px) * u64::from(height_px) <= most {
        return Ok(());
    }
    let detail = format!("{width_px}x{height_px}; accepted: at most {most} pixels");
    Err(Failure::input(Code::PictureTooLarge, detail))
}

impl Default for Limits {
    /// 5 GiB, 4 hours, 16 streams of pictures and sound, 8192 × 8192 pixels; outputs of a day in all, ten million frames, ten million megapixels
    /// (more than four hours of 4K at 60 frames per second), and two days of one processor.
    fn default() -> Self {
        Self {
            max_upload_bytes: 5 << 30,
            max_duration_us: 4 * 3_600 * 1_000_000,
            max_streams: 16,
            max_pixels: MOST_PIXELS,
            max_output_duration_us: 24 * 3_600 * 1_000_000,
            max_output_frames: 10_000_000,
            max_output_megapixels: 10_000_000,
            max_cpu_s: 48 * 3_600,
        }
    }
}
