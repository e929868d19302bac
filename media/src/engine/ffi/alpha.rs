//! Alpha channels: pixel formats that have one, and frames with transparent pixels.

use ffmpeg_next::ffi;
use ffmpeg_next::frame::Video;
use std::ffi::c_int;

/// Returns `true` if a pixel format (`AVPixelFormat`) has an alpha channel.
pub(crate) fn has_alpha(format: c_int) -> bool {
    descriptor(format).is_some_and(|format| format.flags & u64::from(ffi::AV_PIX_FMT_FLAG_ALPHA.cast_unsigned()) != 0)
}

/// Returns `true` if at least one pixel of a frame is not fully opaque.
pub(crate) fn is_transparent(frame: &Video) -> bool {
    // SAFETY: a `Video` owns a live frame. Its planes are null (checked) or valid for the rows and pixels of its
    // format. Each alpha value is read at the offset that the format descriptor gives, unaligned.
    unsafe {
        let frame = frame.as_ptr();
        let Some(format) = descriptor((*frame).format).filter(|_| has_alpha((*frame).format)) else {
            return false;
        };
        let has_palette = format.flags & u64::from(ffi::AV_PIX_FMT_FLAG_PAL.cast_unsigned()) != 0;
        // Alpha is the last component. A palette format has one component, the index into the palette.
        let component = if has_palette {
            0
        } else {
            format.nb_components.saturating_sub(1)
        };
        let Some(alpha) = format.comp.get(usize::from(component)) else {
            return false;
        };
        let plane = usize::try_from(alpha.plane).unwrap_or(0);
        let (Some(data), Some(stride)) = ((*frame).data.get(plane), (*frame).linesize.get(plane)) else {
            return false;
        };
        let palette = (*frame).data[1];
        if data.is_null() || has_palette && palette.is_null() {
            return false;
        }
        let (step, offset) = (to_isize(alpha.step), to_isize(alpha.offset));
        let opaque = (1_u32 << alpha.depth.clamp(1, 16)) - 1;
        let big_endian = format.flags & u64::from(ffi::AV_PIX_FMT_FLAG_BE.cast_unsigned()) != 0;
        (0..to_isize((*frame).height)).any(|y| {
            (0..to_isize((*frame).width)).any(|x| {
                let pixel = data.offset(y * to_isize(*stride) + x * step + offset);
                if has_palette {
                    // Palette entries are native-endian ARGB (`AV_PIX_FMT_PAL8`).
                    let argb = palette
                        .add(usize::from(pixel.read()) * 4)
                        .cast::<u32>()
                        .read_unaligned();
                    return argb >> 24 != 0xff;
                }
                let value = match (alpha.depth > 8, big_endian) {
                    (false, _) => u32::from(pixel.read()),
                    (true, false) => u32::from(u16::from_le_bytes(pixel.cast::<[u8; 2]>().read())),
                    (true, true) => u32::from(u16::from_be_bytes(pixel.cast::<[u8; 2]>().read())),
                };
                (value >> alpha.shift.clamp(0, 15)) & opaque != opaque
            })
        })
    }
}

fn to_isize(number: c_int) -> isize {
    isize::try_from(number).unwrap_or(0)
}

/// Descriptor of an integer pixel format; `None` for invalid numbers and floating-point formats.
fn descriptor(format: c_int) -> Option<&'static ffi::AVPixFmtDescriptor> {
    if format < 0 || format >= ffi::AVPixelFormat::AV_PIX_FMT_NB as c_int {
        return None;
    }
    // SAFETY: the number was checked to be a value of the enum; descriptors are static.
    let descriptor =
        unsafe { ffi::av_pix_fmt_desc_get(std::mem::transmute::<c_int, ffi::AVPixelFormat>(format)).as_ref() };
    descriptor.filter(|format| format.flags & u64::from(ffi::AV_PIX_FMT_FLAG_FLOAT.cast_unsigned()) == 0)
}
