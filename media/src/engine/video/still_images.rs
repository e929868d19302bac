//! Images of recipes: the frame of a still bumper, and the watermark. An image is an upload of the account or the
//! built-in logo.
//!
//! Decoded images may be as large as 8192x8192 pixels, hundreds of megabytes. So each is scaled to its final size at
//! once, and [`FULL_SIZE_LOCK`] lets one image at a time exist at full size.

use crate::engine::error;
use crate::engine::ffi::frame::{self, frame_size};
use crate::engine::video::filter_description::centered_offset;
use crate::engine::video::filter_graph::{self, StillInput};
use crate::engine::video::{color, image_decoder};
use domain::plan::Watermark;
use domain::probe::Size;
use domain::recipe::Name;
use domain::{Code, Failure};
use ffmpeg_next::color::Space;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Uploaded images that a recipe names, as PNG or JPEG files.
pub type Images = HashMap<Name, Vec<u8>>;

/// The built-in image.
const LOGO: &[u8] = include_bytes!("../../../assets/logo.png");

/// Held while an image has its full size. Outputs that start together would otherwise need several times the memory.
static FULL_SIZE_LOCK: Mutex<()> = Mutex::new(());

/// Decodes an image. An upload may have the name of the built-in one, and then replaces it.
fn decode_image(name: &Name, images: &Images) -> Result<Video, Failure> {
    let uploaded = images.get(name).map(Vec::as_slice);
    let bytes = uploaded.or_else(|| (*name == Name::logo()).then_some(LOGO));
    let missing = || Failure::new(Code::RecipeInvalid, format!("there is no image {name}"));
    image_decoder::decode(name, bytes.ok_or_else(missing)?)
}

/// Renders the frame of a still bumper: the image centered on a black canvas, scaled down to fit, never up.
pub(crate) fn bumper(name: &Name, images: &Images, canvas: Size, matrix: Space) -> Result<Video, Failure> {
    let _lock = FULL_SIZE_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let image = decode_image(name, images)?;
    let fitted = fit_inside(frame_size(&frame::frame_format(&image)), canvas);
    let (x, y) = centered_offset(fitted, canvas);
    let description = format!(
        "[image]{}[fitted];[in][fitted]overlay=x={x}:y={y}:format=yuv420,setsar=1,format=yuv420p[out]",
        scale_with_alpha(fitted, matrix)
    );
    let stills = [StillInput {
        from: 0,
        name: "image",
        frame: &image,
    }];
    filter_graph::run_once(&black_frame(canvas)?, &description, &stills)
}

/// Renders the image of a watermark at its width and opacity. The height follows from the aspect ratio of the image.
pub(crate) fn watermark(watermark: &Watermark, images: &Images, matrix: Space) -> Result<Video, Failure> {
    let _lock = FULL_SIZE_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let image = decode_image(&watermark.image, images)?;
    let size = frame_size(&frame::frame_format(&image));
    let height = u64::from(size.height_px) * u64::from(watermark.width_px) / u64::from(size.width_px.max(1));
    let scaled = Size {
        width_px: watermark.width_px,
        height_px: u32::try_from(height).unwrap_or(u32::MAX).max(1),
    };
    let opacity = watermark.opacity_percent.min(100);
    let description = format!("[in]{},lut=a=val*{opacity}/100[out]", scale_with_alpha(scaled, matrix));
    filter_graph::run_once(&image, &description, &[])
}

/// Scales an image and converts it to 4:2:0 with alpha. One filter does both, because a converted copy at full size may
/// take hundreds of megabytes.
fn scale_with_alpha(size: Size, matrix: Space) -> String {
    let Size { width_px, height_px } = size;
    let matrix = color::scale_matrix_name(matrix);
    format!("scale=w={width_px}:h={height_px}:flags=bicubic:out_color_matrix={matrix}:out_range=tv,format=yuva420p")
}

/// Largest size with the aspect ratio of the image that fits the canvas and is not larger than the image.
fn fit_inside(image: Size, canvas: Size) -> Size {
    // Cross products compare the aspect ratios without division.
    let product = |width_of: Size, height_of: Size| u64::from(width_of.width_px) * u64::from(height_of.height_px);
    let is_wider = product(image, canvas) >= product(canvas, image);
    let side = |own: u32, num: u32, den: u32| {
        let length = u64::from(own) * u64::from(num) / u64::from(den.max(1));
        u32::try_from(length).unwrap_or(u32::MAX).max(1)
    };
    if image.width_px <= canvas.width_px && image.height_px <= canvas.height_px {
        image
    } else if is_wider {
        Size {
            width_px: canvas.width_px,
            height_px: side(image.height_px, canvas.width_px, image.width_px),
        }
    } else {
        Size {
            width_px: side(image.width_px, canvas.height_px, image.height_px),
            height_px: canvas.height_px,
        }
    }
}

/// A black frame in limited range.
fn black_frame(canvas: Size) -> Result<Video, Failure> {
    let mut frame = frame::new_video(Pixel::YUV420P, canvas.width_px, canvas.height_px)
        .map_err(|error| error::engine_failure("canvas", error))?;
    for (plane, value) in [(0, 16), (1, 128), (2, 128)] {
        frame.data_mut(plane).fill(value);
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_scaled_down_to_fit_and_never_up() {
        let size = |width_px, height_px| Size { width_px, height_px };
        for (image, canvas, fitted) in [
            (size(480, 270), size(1920, 1080), size(480, 270)),
            (size(480, 270), size(240, 270), size(240, 135)),
            (size(480, 270), size(480, 100), size(177, 100)),
            (size(480, 270), size(2, 2), size(2, 1)),
        ] {
            assert_eq!(fit_inside(image, canvas), fitted);
        }
    }

    #[test]
    fn a_still_bumper_is_the_logo_centered_on_black() {
        let canvas = Size {
            width_px: 1280,
            height_px: 720,
        };
        let frame = bumper(&Name::logo(), &Images::new(), canvas, Space::BT709).unwrap();
        let luma = |x: usize, y: usize| frame.data(0)[y * frame.stride(0) + x];
        assert_eq!((luma(0, 0), luma(399, 224), luma(1279, 719)), (16, 16, 16));
        assert!(luma(640, 323) > 60, "the center is {}", luma(640, 323));
    }
}
