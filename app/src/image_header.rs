//! Format and size of an image, read from its bytes. Incomplete and damaged files are refused, as far as this can be
//! seen without decoding them.

use crate::Refusal;
use domain::{Code, file_signature};

/// Maximum width and height of an image in pixels.
const MAX_SIDE_PX: u32 = 8_192;

/// Format and size of an image, from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageHeader {
    pub(crate) media_type: &'static str,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
}

/// Reads the header of a complete PNG or JPEG.
///
/// # Errors
/// `not_an_image` for other or incomplete files; `image_too_large` beyond [`MAX_SIDE_PX`].
pub(crate) fn read_header(bytes: &[u8]) -> Result<ImageHeader, Refusal> {
    let header = png(bytes)
        .map(|size| ("image/png", size))
        .or_else(|| jpeg(bytes).map(|size| ("image/jpeg", size)));
    let Some((media_type, (width_px, height_px))) = header.filter(|(_, (width, height))| *width > 0 && *height > 0)
    else {
        let refusal = Refusal::new(Code::NotAnImage).detail("accepted: a complete PNG or JPEG");
        return Err(refusal.field("file", Code::NotAnImage));
    };
    if width_px.max(height_px) > MAX_SIDE_PX {
        let detail = format!("{width_px}x{height_px}; accepted: up to {MAX_SIDE_PX} a side");
        let refusal = Refusal::new(Code::ImageTooLarge).detail(detail);
        return Err(refusal.field("file", Code::ImageTooLarge));
    }
    Ok(ImageHeader {
        media_type,
        width_px,
        height_px,
    })
}

/// Width and height of a complete PNG.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    file_signature::png_size(bytes).filter(|_| png_is_complete(bytes))
}

/// Returns `true` if a PNG has image data, ends with `IEND`, and all its critical chunks match their CRC. The name of a
/// critical chunk begins with an upper case letter (PNG §5.4).
fn png_is_complete(bytes: &[u8]) -> bool {
    let mut pixel_bytes = 0;
    for chunk in file_signature::png_chunks(bytes).into_iter().flatten() {
        let is_critical = chunk.kind[0].is_ascii_uppercase();
        if is_critical && chunk.checksum != Some(checksum(chunk.kind, chunk.data)) {
            return false;
        }
        match chunk.kind {
            b"IDAT" => pixel_bytes += chunk.data.len(),
            b"IEND" => return pixel_bytes > 0,
            _ => {}
        }
    }
    false
}

fn checksum(kind: &[u8], data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(kind);
    hasher.update(data);
    hasher.finalize()
}

/// Width and height of a complete JPEG, from its first frame header (ITU-T T.81 §B.2.2). Complete means that a scan
/// with data follows (§B.2.3) and the image ends with `EOI`. Every step of the loop moves forward, so it ends for any
/// input.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
    let (mut size, mut has_pixels) = (None, false);
    loop {
        let ([0xFF, marker], after) = rest.split_first_chunk()? else {
            return None;
        };
        let (length, _) = match *marker {
            // A fill byte before a marker (§B.1.1.2).
            0xFF => {
                rest = rest.get(1..)?;
                continue;
            }
            0xD9 => return size.filter(|_| has_pixels),
            // Markers without a segment that are not allowed between segments.
            0x00 | 0x01 | 0xD0..=0xD8 => return None,
            _ => after.split_first_chunk::<2>()?,
        };
        if size.is_none() && matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            let [_, _, _, h1, h2, w1, w2] = *after.first_chunk::<7>()?;
            let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
            size = Some((side(w1, w2), side(h1, h2)));
        }
        rest = after.get(usize::from(u16::from_be_bytes(*length)).max(2)..)?;
        if *marker == 0xDA {
            let scan_bytes = scan_bytes(rest);
            has_pixels |= scan_bytes > 0;
            rest = rest.get(scan_bytes..)?;
        }
    }
}

/// Length of the entropy-coded data of a scan, up to the next marker. Stuffed zero bytes and restart markers belong to
/// the data (§B.1.1.5).
fn scan_bytes(rest: &[u8]) -> usize {
    let ends = |pair: &[u8]| matches!(pair, [0xFF, 0x01..=0xCF | 0xD8..=0xFE]);
    rest.windows(2).position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length, &kind[..], data, &checksum(kind, data).to_be_bytes()].concat()
    }

    fn png_of(width_px: u32, pixels: &[u8]) -> Vec<u8> {
        let size = [width_px, 360].map(u32::to_be_bytes).concat();
        let head = chunk(b"IHDR", &[&size[..], b"\x08\x06\0\0\0"].concat());
        let mut text = chunk(b"tEXt", b"a wrong checksum");
        *text.last_mut().unwrap() ^= 1;
        let chunks = [head, text, chunk(b"IDAT", pixels), chunk(b"IEND", b"")].concat();
        [b"\x89PNG\r\n\x1A\n", &*chunks].concat()
    }

    /// 640×360.
    const JPEG: &[u8] =
        b"\xFF\xD8\xFF\xE0\0\x04JF\xFF\xFF\xC4\0\x02\xFF\xC2\0\x08\x08\x01\x68\x02\x80\x03\xFF\xDA\0\x02\
        pixels\xFF\0\xFF\xD0pixels\xFF\xD9and what follows";

    fn refused(bytes: &[u8]) -> Code {
        read_header(bytes).unwrap_err().code
    }

    #[test]
    fn the_header_has_the_format_and_the_size() {
        let header = |media_type, width_px, height_px| ImageHeader {
            media_type,
            width_px,
            height_px,
        };
        let png = png_of(640, b"pixels");
        assert_eq!(read_header(&png).unwrap(), header("image/png", 640, 360));
        assert_eq!(read_header(JPEG).unwrap(), header("image/jpeg", 640, 360));
    }

    #[test]
    fn a_file_that_only_begins_like_an_image_is_refused() {
        for bytes in [
            b"".as_slice(),
            b"\x89PNG\r\n\x1A\n",
            b"\x89PNG\r\n\x1A\n\0\0\0\rIDAT\0\0\x02\x80\0\0\x01\x68",
            b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\0\0\0\0\x01\x68",
            // Without pixels.
            &png_of(640, b""),
            b"\xFF\xD8\xFF\xC0\0\x08\x08\x01\x68\x02\x80\x03\xFF\xD9",
            b"\xFF\xD8\xFF\xC0\0\x08\x08\x01\x68\x02\x80\x03\xFF\xDA\0\x02\xFF\xD9",
            b"GIF89a\x01\0\x01\0",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"\xFF\xD8\xFF",
            b"\xFF\xD8\xFF\xE0\0\0\xFF\xE0\0\0",
            b"\xFF\xD8\xFF\xE0\xFF\xFF",
            b"\xFF\xD8\xFF\xDA\0\x02\xFF\xC0\0\x11\x08\x01\x68\x02\x80",
            b"\xFF\xD8\xFF\xC0\0\x11\x08\x01\x68\x02",
            &[0xFF; 4_096],
        ] {
            assert_eq!(refused(bytes), Code::NotAnImage, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_truncated_or_damaged_image_is_refused() {
        let png = png_of(640, b"pixels");
        for whole in [&*png, JPEG.strip_suffix(b"and what follows").unwrap()] {
            for length in 0..whole.len() {
                assert_eq!(refused(&whole[..length]), Code::NotAnImage, "{length} bytes");
            }
        }
        let at = png.windows(6).position(|six| six == b"pixels").unwrap();
        let mut damaged = png;
        damaged[at] ^= 1;
        assert_eq!(refused(&damaged), Code::NotAnImage);
    }

    #[test]
    fn an_image_with_huge_dimensions_is_refused_by_its_header() {
        assert_eq!(refused(&png_of(u32::MAX, b"pixels")), Code::ImageTooLarge);
        let wide = b"\xFF\xD8\xFF\xC0\0\x08\x08\x01\x68\xFF\xFF\x03\xFF\xDA\0\x02pixels\xFF\xD9";
        assert_eq!(refused(wide), Code::ImageTooLarge);
    }
}
