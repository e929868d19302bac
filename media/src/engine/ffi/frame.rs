//! Decoded frames: pixel format, size, color, new references to their buffers, and allocation that reports `ENOMEM`.

use domain::probe::Size;
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::format::{Pixel, Sample};
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{ChannelLayout, Error, Frame, ffi};
use std::ffi::{CStr, c_int};

/// Color description: code points of ITU-T H.273 for primaries, transfer characteristics and matrix coefficients, and
/// the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColorNumbers {
    pub(crate) primaries: c_int,
    pub(crate) transfer: c_int,
    pub(crate) matrix: c_int,
    /// `AVColorRange`: 1 limited, 2 full.
    pub(crate) range: c_int,
}

impl ColorNumbers {
    /// Returns `true` if primaries, transfer or matrix are specified: 2 means "unspecified" (ITU-T H.273 §8).
    pub(crate) fn is_specified(self) -> bool {
        [self.primaries, self.transfer, self.matrix]
            .iter()
            .any(|number| *number != 2)
    }

    /// Returns these code points if any is specified, else those of `other`. The range is chosen independently; 0 means
    /// unspecified.
    pub(crate) fn or(self, other: Self) -> Self {
        let color = if self.is_specified() { self } else { other };
        let range = if self.range == 0 { other.range } else { self.range };
        Self { range, ..color }
    }
}

/// Name and bits per component of a pixel format (`AVPixelFormat`); `None` for an invalid number.
pub(crate) fn pixel_format(format: c_int) -> Option<(&'static str, u8)> {
    // SAFETY: the number is checked to be a value of the enum before it becomes one; descriptors and names are static.
    unsafe {
        if format < 0 || format >= ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
            return None;
        }
        let descriptor = ffi::av_pix_fmt_desc_get(std::mem::transmute::<c_int, ffi::AVPixelFormat>(format)).as_ref()?;
        let name = CStr::from_ptr(descriptor.name).to_str().ok()?;
        Some((name, u8::try_from(descriptor.comp.first()?.depth).unwrap_or(8)))
    }
}

/// Size, pixel format, sample aspect ratio and color of a decoded frame. A filter graph is built for one such format
/// and rebuilt when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameFormat {
    pub(crate) width_px: c_int,
    pub(crate) height_px: c_int,
    /// `AVPixelFormat`.
    pub(crate) format: c_int,
    /// Sample aspect ratio, width to height of a pixel; numerator 0 if unknown.
    pub(crate) sample_aspect: (c_int, c_int),
    pub(crate) color: ColorNumbers,
}

/// Reads the format of a frame.
pub(crate) fn frame_format(frame: &Video) -> FrameFormat {
    // SAFETY: a `Video` always owns a live frame; enums are read as integers.
    unsafe {
        let f = frame.as_ptr();
        FrameFormat {
            width_px: (*f).width,
            height_px: (*f).height,
            format: (*f).format,
            sample_aspect: ((*f).sample_aspect_ratio.num, (*f).sample_aspect_ratio.den),
            color: ColorNumbers {
                primaries: (&raw const (*f).color_primaries).cast::<c_int>().read(),
                transfer: (&raw const (*f).color_trc).cast::<c_int>().read(),
                matrix: (&raw const (*f).colorspace).cast::<c_int>().read(),
                range: (&raw const (*f).color_range).cast::<c_int>().read(),
            },
        }
    }
}

/// Sets the sample aspect ratio of a frame to unknown (0:1).
pub(crate) fn clear_sample_aspect(frame: &mut Video) {
    // SAFETY: writes one plain field of a live frame.
    unsafe { (*frame.as_mut_ptr()).sample_aspect_ratio = ffi::AVRational { num: 0, den: 1 } };
}

/// Sets the color description of a frame.
pub(crate) fn set_color(frame: &mut Video, color: ColorNumbers) {
    // SAFETY: writes fields of a live frame. They are written as integers because a file may hold values that the
    // bindings do not know; FFmpeg stores such values as well.
    unsafe {
        let f = frame.as_mut_ptr();
        (&raw mut (*f).color_primaries).cast::<c_int>().write(color.primaries);
        (&raw mut (*f).color_trc).cast::<c_int>().write(color.transfer);
        (&raw mut (*f).colorspace).cast::<c_int>().write(color.matrix);
        (&raw mut (*f).color_range).cast::<c_int>().write(color.range);
    }
}

fn share(frame: &Frame) -> Result<Frame, Error> {
    // SAFETY: the allocation of `empty` is checked; `av_frame_ref` takes references to the buffers of a live frame and
    // copies its properties.
    unsafe {
        let mut reference = Frame::empty();
        if reference.as_ptr().is_null() {
            return Err(Error::Other { errno: ENOMEM });
        }
        match ffi::av_frame_ref(reference.as_mut_ptr(), frame.as_ptr()) {
            0 => Ok(reference),
            error => Err(Error::from(error)),
        }
    }
}

/// Creates a new reference to the pixels of a frame (`av_frame_ref`); nothing is copied.
pub(crate) fn share_video(frame: &Video) -> Result<Video, Error> {
    share(frame).map(Video::from)
}

/// Creates a new reference to the samples of an audio frame (`av_frame_ref`); nothing is copied.
pub(crate) fn share_audio(frame: &Audio) -> Result<Audio, Error> {
    share(frame).map(Audio::from)
}

/// Sets the default channel layout for the channel count of an audio frame that has no native one. Returns the channel
/// mask, or `None` if FFmpeg has no native layout for that count.
pub(crate) fn ensure_native_layout(frame: &mut Audio) -> Option<u64> {
    // SAFETY: a live frame owns its layout, which is replaced through FFmpeg's functions. The mask is read only if the
    // order of the layout says that the union holds a mask.
    unsafe {
        let layout = &raw mut (*frame.as_mut_ptr()).ch_layout;
        if (*layout).order != ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE {
            let channels = (*layout).nb_channels;
            ffi::av_channel_layout_uninit(layout);
            ffi::av_channel_layout_default(layout, channels);
        }
        ((*layout).order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE).then(|| (*layout).u.mask)
    }
}

/// Allocates an audio frame.
///
/// # Errors
/// `ENOMEM`.
pub(crate) fn new_audio(format: Sample, samples: usize, layout: ChannelLayout) -> Result<Audio, Error> {
    let audio = Audio::new(format, samples, layout);
    // SAFETY: reads one pointer of a live frame. It is null after a failed allocation, which ffmpeg-next does not
    // check.
    if unsafe { audio.is_empty() } {
        Err(Error::Other { errno: ENOMEM })
    } else {
        Ok(audio)
    }
}

/// Silence in the format, layout and rate of other samples.
pub(crate) fn silence_like(audio: &Audio, samples: usize) -> Result<Audio, Error> {
    let mut silence = Audio::empty();
    let count = c_int::try_from(samples).unwrap_or(c_int::MAX);
    // SAFETY: a new frame takes plain fields and a copy of the layout of a live one, then buffers for them, which are
    // filled only when there was memory for all of them.
    unsafe {
        let (to, from) = (silence.as_mut_ptr(), audio.as_ptr());
        if to.is_null() {
            return Err(Error::Other { errno: ENOMEM });
        }
        ((*to).format, (*to).sample_rate, (*to).nb_samples) = ((*from).format, (*from).sample_rate, count);
        let filled = match ffi::av_channel_layout_copy(&raw mut (*to).ch_layout, &raw const (*from).ch_layout) {
            0 => ffi::av_frame_get_buffer(to, 0),
            error => error,
        };
        if filled < 0 {
            return Err(Error::from(filled));
        }
        let channels = (*to).ch_layout.nb_channels;
        ffi::av_samples_set_silence((*to).extended_data, 0, count, channels, audio.format().into());
    }
    Ok(silence)
}

/// Allocates a video frame.
///
/// # Errors
/// `ENOMEM`.
pub(crate) fn new_video(format: Pixel, width_px: u32, height_px: u32) -> Result<Video, Error> {
    let frame = Video::new(format, width_px, height_px);
    // SAFETY: reads one pointer of a live frame. It is null after a failed allocation, which ffmpeg-next does not
    // check.
    if unsafe { frame.is_empty() } {
        Err(Error::Other { errno: ENOMEM })
    } else {
        Ok(frame)
    }
}

/// Width and height of a frame format.
pub(crate) fn frame_size(format: &FrameFormat) -> Size {
    Size {
        width_px: u32::try_from(format.width_px).unwrap_or(0),
        height_px: u32::try_from(format.height_px).unwrap_or(0),
    }
}
