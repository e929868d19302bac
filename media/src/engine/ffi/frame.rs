//! Decoded frames: pixel formats, color, size, shared handles on their buffers, and allocation that reports a lack of
//! memory.

use domain::probe::Size;
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::format::{Pixel, Sample};
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{ChannelLayout, Error, Frame, ffi};
use std::ffi::{CStr, c_int};

/// Numbers of ITU-T H.273 for primaries, transfer and matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColorNumbers {
    pub(crate) primaries: c_int,
    pub(crate) transfer: c_int,
    pub(crate) matrix: c_int,
    /// `AVColorRange`: 1 limited, 2 full.
    pub(crate) range: c_int,
}

impl ColorNumbers {
    /// Returns `true` when primaries, transfer or matrix are specified: 2 means "unspecified" (ITU-T H.273 §8).
    pub(crate) fn is_told(self) -> bool {
        [self.primaries, self.transfer, self.matrix]
            .iter()
            .any(|number| *number != 2)
    }

    /// These numbers where they are specified, else those of `other`. The range is chosen by itself: 0 means unspecified.
    pub(crate) fn or(self, other: Self) -> Self {
        let color = if self.is_told() { self } else { other };
        let range = if self.range == 0 { other.range } else { self.range };
        Self { range, ..color }
    }
}

/// Name and bits per component of a pixel format; `None` for a number that is none.
pub(crate) fn pixel_format(format: c_int) -> Option<(&'static str, u8)> {
    // SAFETY: both lookups accept any number in the range of the enum, which the descriptor table bounds; the number
    // is checked against the table before it becomes an enum value, and descriptors and names are static.
    unsafe {
        if format < 0 || format >= ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
            return None;
        }
        let descriptor = ffi::av_pix_fmt_desc_get(std::mem::transmute::<c_int, ffi::AVPixelFormat>(format)).as_ref()?;
        let name = CStr::from_ptr(descriptor.name).to_str().ok()?;
        Some((name, u8::try_from(descriptor.comp.first()?.depth).unwrap_or(8)))
    }
}

/// Size, pixels and color of a decoded picture: what a filter graph is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) width_px: c_int,
    pub(crate) height_px: c_int,
    pub(crate) format: c_int,
    /// Width to height of a pixel; a zero when unknown.
    pub(crate) sample_aspect: (c_int, c_int),
    pub(crate) color: ColorNumbers,
}

/// Reads the shape of a picture.
pub(crate) fn shape(frame: &Video) -> Shape {
    // SAFETY: a `Video` always owns a live frame; enums are read as numbers, as above.
    unsafe {
        let f = frame.as_ptr();
        Shape {
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

/// Forgets the shape of the pixels that a picture tells.
pub(crate) fn forget_aspect(frame: &mut Video) {
    // SAFETY: writes one plain field of a live frame.
    unsafe { (*frame.as_mut_ptr()).sample_aspect_ratio = ffi::AVRational { num: 0, den: 1 } };
}

/// Gives a picture the color of its container.
pub(crate) fn set_color(frame: &mut Video, color: ColorNumbers) {
    // SAFETY: writes fields of a live frame, as numbers because a file may have values that the bindings do not know;
    // FFmpeg stores such values, too.
    unsafe {
        let f = frame.as_mut_ptr();
        (&raw mut (*f).color_primaries).cast::<c_int>().write(color.primaries);
        (&raw mut (*f).color_trc).cast::<c_int>().write(color.transfer);
        (&raw mut (*f).colorspace).cast::<c_int>().write(color.matrix);
        (&raw mut (*f).color_range).cast::<c_int>().write(color.range);
    }
}

fn share(frame: &Frame) -> Result<Frame, Error> {
    // SAFETY: `empty` allocates (checked); `av_frame_ref` counts up the buffers of a live frame and copies its facts.
    unsafe {
        let mut twin = Frame::empty();
        if twin.as_ptr().is_null() {
            return Err(Error::Other { errno: ENOMEM });
        }
        match ffi::av_frame_ref(twin.as_mut_ptr(), frame.as_ptr()) {
            0 => Ok(twin),
            error => Err(Error::from(error)),
        }
    }
}

/// A second handle on the same pixels; nothing is copied.
pub(crate) fn share_video(frame: &Video) -> Result<Video, Error> {
    share(frame).map(Video::from)
}

/// A second handle on the same samples; nothing is copied.
pub(crate) fn share_audio(frame: &Audio) -> Result<Audio, Error> {
    share(frame).map(Audio::from)
}

/// Gives samples without a channel layout the usual one of their count. Returns the mask of the layout and whether
/// there is one.
pub(crate) fn settle_layout(frame: &mut Audio) -> Option<u64> {
    // SAFETY: a live frame owns its layout; the layout is replaced through FFmpeg's own functions, and its mask is
    // only read when its order says that the union holds a mask.
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

/// Samples with room for them.
pub(crate) fn new_audio(format: Sample, samples: usize, layout: ChannelLayout) -> Result<Audio, Error> {
    let audio = Audio::new(format, samples, layout);
    // SAFETY: reads one pointer of a live frame: it is null when there was no memory.
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
    // SAFETY: a new frame takes plain fields and a copy of the layout of a live one, then buffers for them, which are filled only
    // when there was memory for all of them.
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

/// A picture with room for its pixels.
pub(crate) fn new_video(format: Pixel, width_px: u32, height_px: u32) -> Result<Video, Error> {
    let frame = Video::new(format, width_px, height_px);
    // SAFETY: reads one pointer of a live frame: it is null when there was no memory.
    if unsafe { frame.is_empty() } {
        Err(Error::Other { errno: ENOMEM })
    } else {
        Ok(frame)
    }
}

/// Width and height of a shape.
pub(crate) fn frame_size(shape: &Shape) -> Size {
    Size {
        width_px: u32::try_from(shape.width_px).unwrap_or(0),
        height_px: u32::try_from(shape.height_px).unwrap_or(0),
    }
}
