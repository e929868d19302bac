//! Decodes an uploaded image: PNG or JPEG. Its headers are parsed first, so that size and color model are checked
//! before a decoder allocates memory for it.

use crate::engine::error;
use domain::probe::Size;
use domain::recipe::Name;
use domain::{Code, Failure};
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Error, Packet, codec, decoder};

/// Longest side of an image in pixels.
const MAX_SIDE_PX: u32 = 8_192;

/// First bytes of the file formats.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// Facts from the headers of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// Name of FFmpeg's decoder.
    decoder: &'static str,
    size: Size,
    /// `true` for four components: CMYK, for print.
    cmyk: bool,
}

/// Decodes an uploaded image. `name` is quoted in errors.
///
/// # Errors
/// [`Code::RecipeInvalid`] when it is neither PNG nor JPEG, is broken, too large, or a CMYK JPEG.
pub(crate) fn decode(name: &Name, bytes: &[u8]) -> Result<Video, Failure> {
    let invalid = |what: &str| Failure::new(Code::RecipeInvalid, format!("image {name} {what}"));
    let header = parse_header(bytes).ok_or_else(|| invalid("is neither PNG nor JPEG"))?;
    let Size { width_px, height_px } = header.size;
    if header.cmyk {
        return Err(invalid("is a CMYK JPEG"));
    }
    if !(1..=MAX_SIDE_PX).contains(&width_px) || !(1..=MAX_SIDE_PX).contains(&height_px) {
        return Err(invalid(&format!(
            "has {width_px}x{height_px} pixels, at most {MAX_SIDE_PX}x{MAX_SIDE_PX}"
        )));
    }
    match decode_with(header.decoder, bytes) {
        Ok(frame) if !frame.is_corrupt() && !frame.has_decode_errors() => Ok(frame),
        Err(Some(error @ Error::Other { errno: ENOMEM })) => Err(error::engine_failure("image", error)),
        Err(None) => Err(error::missing_component(header.decoder)),
        Ok(_) | Err(Some(_)) => Err(invalid("is broken")),
    }
}

/// Decodes one frame with the decoder of this name. Damage is an error, not concealed.
///
/// # Errors
/// Those of FFmpeg; `None` when this build has no such decoder.
pub(crate) fn decode_with(name: &'static str, bytes: &[u8]) -> Result<Video, Option<Error>> {
    let codec = decoder::find_by_name(name).ok_or(None)?;
    // An image is a single frame: more threads would only take memory.
    let options: Dictionary<'_> = [("threads", "1"), ("err_detect", "crccheck+explode")]
        .into_iter()
        .collect();
    let mut decoder = codec::Context::new_with_codec(codec)
        .decoder()
        .open_as_with(codec, options)?;
    decoder.send_packet(&Packet::copy(bytes))?;
    decoder.send_eof()?;
    let mut frame = Video::empty();
    decoder.receive_frame(&mut frame)?;
    Ok(frame)
}

fn parse_header(bytes: &[u8]) -> Option<Header> {
    if bytes.starts_with(PNG) {
        parse_png(bytes)
    } else if bytes.starts_with(JPEG) {
        parse_jpeg(bytes)
    } else {
        None
    }
}

/// Parses the IHDR chunk of a PNG, which is always the first.
fn parse_png(bytes: &[u8]) -> Option<Header> {
    let number = |offset: usize| Some(u32::from_be_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?));
    (bytes.get(12..16)? == b"IHDR").then_some(Header {
        decoder: "png",
        size: Size {
            width_px: number(16)?,
            height_px: number(20)?,
        },
        cmyk: false,
    })
}

/// Skips the segments of a JPEG up to the start of frame (SOF, ITU-T T.81 §B.2.2), which has size and components.
fn parse_jpeg(bytes: &[u8]) -> Option<Header> {
    let number = |offset: usize| Some(u16::from_be_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?));
    let mut offset = 2;
    loop {
        // Any number of fill bytes may precede a marker (§B.1.1.2).
        while bytes.get(offset)? == &0xff && bytes.get(offset + 1)? == &0xff {
            offset += 1;
        }
        if bytes.get(offset)? != &0xff {
            return None;
        }
        let marker = *bytes.get(offset + 1)?;
        // DHT, JPG and DAC are in the same range, but are no frames.
        let is_start_of_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if is_start_of_frame {
            return Some(Header {
                decoder: "mjpeg",
                size: Size {
                    width_px: number(offset + 7)?.into(),
                    height_px: number(offset + 5)?.into(),
                },
                cmyk: *bytes.get(offset + 9)? == 4,
            });
        }
        offset += 2 + usize::from(number(offset + 2)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_jpeg_is_found_after_other_segments() {
        let bytes = [
            &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xfe, 0, 3, 9][..],
            &[0xff, 0xc2, 0, 11, 8, 0x20, 0, 0x10, 1, 4, 1, 1, 1],
        ];
        let header = parse_header(&bytes.concat()).unwrap();
        let size = Size {
            width_px: 0x1001,
            height_px: 0x2000,
        };
        assert_eq!((header.size, header.cmyk), (size, true));
    }

    #[test]
    fn truncated_images_and_other_formats_have_no_header() {
        let png = include_bytes!("../../../assets/logo.png");
        for bytes in [
            &b""[..],
            b"GIF89a",
            &png[..20],
            &[0xff, 0xd8, 0xff, 0xe0, 0, 4],
            &[0xff, 0xd8, 0xff, 0xff],
        ] {
            assert_eq!(parse_header(bytes), None, "{bytes:?}");
        }
    }
}
