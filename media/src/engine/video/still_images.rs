//! Images that are composed: the built-in logo, the canvas of a still bumper, the watermark.

use crate::engine::error;
use crate::engine::ffi::frame::{self, frame_size};
use crate::engine::video::filter_description::middle;
use crate::engine::video::filter_graph::{self, StillInput};
use crate::engine::video::{color, image_decoder};
use domain::plan::Overlay;
use domain::probe::Size;
use domain::recipe::Name;
use domain::{Code, Failure};
use ffmpeg_next::color::Space;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The images of the account that a recipe names: PNG or JPEG files as they were uploaded.
pub type Images = HashMap<Name, Vec<u8>>;

/// The image that every installation has.
const LOGO: &[u8] = include_bytes!("../../../assets/logo.png");

/// Held while an image has its full size: outputs that begin together would need several times the memory.
static FULL_SIZE: Mutex<()> = Mutex::new(());

/// Decodes the image with this name.
fn image(name: &Name, images: &Images) -> Result<Video, Failure> {
    let uploaded = images.get(name).map(Vec::as_slice);
    let bytes = uploaded.or_else(|| (*name == Name::logo()).then_some(LOGO));
    let missing = || Failure::input(Code::RecipeInvalid, format!("there is no image {name}"));
    image_decoder::decode(name, bytes.ok_or_else(missing)?)
}

/// A black canvas with the image in its middle, scaled down to fit, never up.
pub(crate) fn bumper(name: &Name, images: &Images, canvas: Size, matrix: Space) -> Result<Video, Failure> {
    let _alone = FULL_SIZE.lock().unwrap_or_else(PoisonError::into_inner);
    let image = image(name, images)?;
    let fitted = fit_inside(frame_size(&frame::shape(&image)), canvas);
    let (x, y) = middle(fitted, canvas);
    let description = format!(
        "[image]{}[fitted];[in][fitted]overlay=x={x}:y={y}:format=yuv420,setsar=1,format=yuv420p[out]",
        scaled(fitted, matrix)
    );
    let beside = [StillInput {
        from: 0,
        name: "image",
        frame: &image,
    }];
    filter_graph::run_once(&black(canvas)?, &description, &beside)
}

/// The image of an overlay at its width and with its opacity.
pub(crate) fn watermark(overlay: &Overlay, images: &Images, matrix: Space) -> Result<Video, Failure> {
    let _alone = FULL_SIZE.lock().unwrap_or_else(PoisonError::into_inner);
    let image = image(&overlay.image, images)?;
    let size = frame_size(&frame::shape(&image));
    let height = u64::from(size.height_px) * u64::from(overlay.width_px) / u64::from(size.width_px.max(1));
    let sized = Size {
        width_px: overlay.width_px,
        height_px: u32::try_from(height).unwrap_or(u32::MAX).max(1),
    };
    let opacity = overlay.opacity_percent.min(100);
    let description = format!("[in]{},lut=a=val*{opacity}/100[out]", scaled(sized, matrix));
    filter_graph::run_once(&image, &description, &[])
}

/// Scales an image and brings it to 4:2:0 with alpha in one step: a copy at its full size in between may take hundreds of
/// megabytes.
fn scaled(size: Size, matrix: Space) -> String {
    let Size { width_px, height_px } = size;
    let matrix = color::scale_name(matrix);
    format!("scale=w={width_px}:h={height_px}:flags=bicubic:out_color_matrix={matrix}:out_range=tv,format=yuva420p")
}

/// The largest size of the image's shape that fits the canvas and is not larger than the image.
fn fit_inside(image: Size, canvas: Size) -> Size {
    let wide = |a: Size, b: Size| u64::from(a.width_px) * u64::from(b.height_px);
    let (by_width, by_height) = (wide(image, canvas), wide(canvas, image));
    let side = |own: u32, num: u32, den: u32| {
        let length = u64::from(own) * u64::from(num) / u64::from(den.max(1));
        u32::try_from(length).unwrap_or(u32::MAX).max(1)
    };
    if image.width_px <= canvas.width_px && image.height_px <= canvas.height_px {
        image
    } else if by_width >= by_height {
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

fn black(canvas: Size) -> Result<Video, Failure> {
    let mut frame = frame::new_video(Pixel::YUV420P, canvas.width_px, canvas.height_px)
        .map_err(|error| error::engine("canvas", error))?;
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
    fn the_bumper_is_the_logo_in_the_middle_of_black() {
        let canvas = Size {
            width_px: 1280,
            height_px: 720,
        };
        let frame = bumper(&Name::logo(), &Images::new(), canvas, Space::BT709).unwrap();
        let luma = |x: usize, y: usize| frame.data(0)[y * frame.stride(0) + x];
        assert_eq!((luma(0, 0), luma(399, 224), luma(1279, 719)), (16, 16, 16));
        assert!(luma(640, 323) > 60, "the middle is {}", luma(640, 323));
    }
}
