//! Decodes an uploaded image: PNG or JPEG, looked at before a decoder sees it.

use crate::engine::error;
use domain::probe::Size;
use domain::recipe::Name;
use domain::{Code, Failure};
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Error, Packet, codec, decoder};

/// Longest side of an image in pixels.
const MAX_SIDE_PX: u32 = 8_192;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

/// What the headers of an image tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// FFmpeg's decoder.
    decoder: &'static str,
    size: Size,
    /// Cyan, magenta, yellow and black instead of what a screen shows.
    cmyk: bool,
}

/// Decodes the image with this name.
///
/// # Errors
/// [`Code::RecipeInvalid`] when it is none, broken, too large or for printing.
pub(crate) fn decode(name: &Name, bytes: &[u8]) -> Result<Video, Failure> {
    let refused = |what: &str| Failure::input(Code::RecipeInvalid, format!("image {name} {what}"));
    let header = header(bytes).ok_or_else(|| refused("is neither PNG nor JPEG"))?;
    let Size { width_px, height_px } = header.size;
    if header.cmyk {
        return Err(refused("is a CMYK JPEG"));
    }
    if !(1..=MAX_SIDE_PX).contains(&width_px) || !(1..=MAX_SIDE_PX).contains(&height_px) {
        return Err(refused(&format!(
            "has {width_px}x{height_px} pixels, at most {MAX_SIDE_PX}x{MAX_SIDE_PX}"
        )));
    }
    match decoded(header.decoder, bytes) {
        Ok(frame) if !frame.is_corrupt() && !frame.has_decode_errors() => Ok(frame),
        Err(Some(error @ Error::Other { errno: ENOMEM })) => Err(error::engine("image", error)),
        Err(None) => Err(error::missing(header.decoder)),
        Ok(_) | Err(Some(_)) => Err(refused("is broken")),
    }
}

/// The picture, or FFmpeg's error, or nothing when there is no such decoder.
pub(crate) fn decoded(name: &'static str, bytes: &[u8]) -> Result<Video, Option<Error>> {
    let codec = decoder::find_by_name(name).ok_or(None)?;
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

fn header(bytes: &[u8]) -> Option<Header> {
    if bytes.starts_with(PNG) {
        png(bytes)
    } else if bytes.starts_with(JPEG) {
        jpeg(bytes)
    } else {
        None
    }
}

fn png(bytes: &[u8]) -> Option<Header> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    (bytes.get(12..16)? == b"IHDR").then_some(Header {
        decoder: "png",
        size: Size {
            width_px: number(16)?,
            height_px: number(20)?,
        },
        cmyk: false,
    })
}

/// Walks over the segments of a JPEG to the one that begins its frame.
fn jpeg(bytes: &[u8]) -> Option<Header> {
    let number = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut at = 2;
    loop {
        // Any number of fill bytes may stand before a marker.
        while bytes.get(at)? == &0xff && bytes.get(at + 1)? == &0xff {
            at += 1;
        }
        if bytes.get(at)? != &0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        let begins_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if begins_frame {
            return Some(Header {
                decoder: "mjpeg",
                size: Size {
                    width_px: number(at + 7)?.into(),
                    height_px: number(at + 5)?.into(),
                },
                cmyk: *bytes.get(at + 9)? == 4,
            });
        }
        at += 2 + usize::from(number(at + 2)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_tells_its_size_behind_any_other_segments() {
        let bytes = [
            &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xfe, 0, 3, 9][..],
            &[0xff, 0xc2, 0, 11, 8, 0x20, 0, 0x10, 1, 4, 1, 1, 1],
        ];
        let header = header(&bytes.concat()).unwrap();
        let size = Size {
            width_px: 0x1001,
            height_px: 0x2000,
        };
        assert_eq!((header.size, header.cmyk), (size, true));
    }

    #[test]
    fn what_breaks_off_or_is_something_else_has_no_header() {
        let png = include_bytes!("../../../assets/logo.png");
        for bytes in [
            &b""[..],
            b"GIF89a",
            &png[..20],
            &[0xff, 0xd8, 0xff, 0xe0, 0, 4],
            &[0xff, 0xd8, 0xff, 0xff],
        ] {
            assert_eq!(header(bytes), None, "{bytes:?}");
        }
    }
}
