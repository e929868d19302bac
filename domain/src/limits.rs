//! Limits of sources and tasks. [`Limits`] are settings of the installation; the constants bound what the engine ever
//! opens.

use crate::code::Code;
use crate::failure::Failure;
use crate::probe::{Probe, Size, StreamKind};
use serde::{Deserialize, Serialize};

/// Upper bound of [`Limits::max_streams`] that the engine applies while opening a file.
pub const MAX_MEDIA_STREAMS: usize = 64;

/// Maximum number of streams that are neither video nor audio: fonts, subtitles, cover art, data.
pub const MAX_OTHER_STREAMS: usize = 256;

/// Upper bound of [`Limits::max_pixels`] that the engine applies while opening a file.
pub const MAX_FRAME_PIXELS: u64 = 8_192 * 8_192;

/// Maximum size of the file of an image in bytes: of uploads, and of what the media process reads.
pub const MAX_IMAGE_BYTES: u64 = 4 << 20;

/// Limits of an upload, a source, and the outputs of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum size of an upload in bytes.
    pub max_upload_bytes: u64,
    /// Maximum duration of a source in microseconds.
    pub max_duration_us: u64,
    /// Maximum number of video and audio streams of a source.
    pub max_streams: usize,
    /// Maximum number of pixels of a frame of a source.
    pub max_pixels: u64,
    /// Maximum total duration of the outputs of a task in microseconds.
    pub max_output_duration_us: u64,
    /// Maximum number of frames that a task encodes, counted per rung.
    pub max_output_frames: u64,
    /// Maximum number of pixels of all encoded frames of a task, in millions.
    pub max_output_megapixels: u64,
    /// Maximum estimated CPU seconds of a task. Compared with the estimate before it is corrected by past tasks.
    pub max_cpu_s: u64,
}

impl Limits {
    /// Checks the properties of a source.
    ///
    /// # Errors
    /// The first exceeded limit, with the value and the limit.
    pub fn check(&self, probe: &Probe) -> Result<(), Failure> {
        let seconds = |us: u64| us / 1_000_000;
        let is_media = |kind: &StreamKind| matches!(kind, StreamKind::Video(_) | StreamKind::Audio(_));
        let media = probe.streams.iter().filter(|stream| is_media(&stream.kind)).count();
        StreamCounts {
            media,
            others: probe.streams.len() - media,
        }
        .check(self.max_streams)?;
        if probe.duration_us > self.max_duration_us {
            let detail = format!(
                "{} s; accepted: at most {} s",
                seconds(probe.duration_us),
                seconds(self.max_duration_us)
            );
            return Err(Failure::new(Code::DurationTooLong, detail));
        }
        for stream in &probe.streams {
            if let StreamKind::Video(facts) = &stream.kind {
                let size = Size {
                    width_px: facts.width_px,
                    height_px: facts.height_px,
                };
                check_frame_size(size, self.max_pixels)?;
            }
        }
        Ok(())
    }
}

/// The number of streams of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCounts {
    /// Video and audio streams.
    pub media: usize,
    /// Other streams.
    pub others: usize,
}

impl StreamCounts {
    /// Checks the number of streams; `max_media` is the maximum of video and audio streams.
    ///
    /// # Errors
    /// [`Code::TooManyStreams`] with the number and the limit.
    pub fn check(self, max_media: usize) -> Result<(), Failure> {
        let Self { media, others } = self;
        let detail = if media > max_media {
            format!("{media} video and audio streams; accepted: at most {max_media}")
        } else if others > MAX_OTHER_STREAMS {
            format!("{others} streams of other kinds; accepted: at most {MAX_OTHER_STREAMS}")
        } else {
            return Ok(());
        };
        Err(Failure::new(Code::TooManyStreams, detail))
    }
}

/// Checks the size of a frame.
///
/// # Errors
/// [`Code::PictureTooLarge`] with the size and the limit.
pub fn check_frame_size(size: Size, max_pixels: u64) -> Result<(), Failure> {
    let Size { width_px, height_px } = size;
    if u64::from(width_px) * u64::from(height_px) <= max_pixels {
        return Ok(());
    }
    let detail = format!("{width_px}x{height_px}; accepted: at most {max_pixels} pixels");
    Err(Failure::new(Code::PictureTooLarge, detail))
}

impl Default for Limits {
    /// Upload: 5 GiB. Source: 4 hours, 16 video and audio streams, 8192 × 8192 pixels. Outputs of a task: 24 hours, ten
    /// million frames, ten million megapixels (more than four hours of 4K at 60 frames per second), 48 CPU hours.
    fn default() -> Self {
        Self {
            max_upload_bytes: 5 << 30,
            max_duration_us: 4 * 3_600 * 1_000_000,
            max_streams: 16,
            max_pixels: MAX_FRAME_PIXELS,
            max_output_duration_us: 24 * 3_600 * 1_000_000,
            max_output_frames: 10_000_000,
            max_output_megapixels: 10_000_000,
            max_cpu_s: 48 * 3_600,
        }
    }
}
