//! The form of an image. It is small, so it is read whole; it is known by its first bytes and nobody decodes it here.

use super::parts::Parts;
use super::stored::too_large;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::read_name;
use crate::once::Mark;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use domain::Code;
use domain::recipe::Name;
use domain::signature;

/// Largest image in bytes.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Longest side of an image in pixels.
const MAX_SIDE_PX: u32 = 8_192;

/// A form that has not been read yet.
pub(crate) struct ImageForm(Parts);

/// What it brought.
pub(crate) struct NewImage {
    pub(crate) name: Name,
    pub(crate) bytes: Bytes,
    pub(crate) facts: Facts,
    /// What the form said.
    pub(crate) mark: Mark,
}

/// What the header of an image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) media_type: &'static str,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
}

impl FromRequest<AppState> for ImageForm {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        Parts::open(request, state, MAX_BYTES as u64).await.map(Self)
    }
}

impl ImageForm {
    /// Reads the form to its end.
    pub(crate) async fn receive(mut self) -> Result<NewImage, Error> {
        let (mut name, mut file) = (None, None);
        while let Some(part) = self.0.next().await? {
            match part.name().as_str() {
                "name" if name.is_none() => name = Some(read_name(&part.text(Code::NameInvalid).await?)?),
                "file" if file.is_none() => file = Some(part.whole(MAX_BYTES, too_large(MAX_BYTES as u64)).await?),
                "name" | "file" => return Err(Refusal::new(Code::MultipartInvalid).detail("a part twice").into()),
                _ => return Err(part.unknown("file, name").into()),
            }
        }
        let missing = |field, code| Refusal::new(code).field(field, code);
        let bytes = file.ok_or_else(|| missing("file", Code::FileMissing))?;
        if bytes.is_empty() {
            return Err(missing("file", Code::FileEmpty).into());
        }
        let facts = look(&bytes)?;
        let name = name.ok_or_else(|| missing("name", Code::NameInvalid))?;
        let mark = self.0.mark();
        Ok(NewImage {
            name,
            bytes,
            facts,
            mark,
        })
    }

    /// Reads the form to its end and stores nothing.
    pub(crate) async fn mark(self) -> Result<Mark, Error> {
        self.0.pass_over().await
    }
}

fn look(bytes: &[u8]) -> Result<Facts, Refusal> {
    let read = png(bytes)
        .map(|size| ("image/png", size))
        .or_else(|| jpeg(bytes).map(|size| ("image/jpeg", size)));
    let Some((media_type, (width_px, height_px))) = read.filter(|(_, (width, height))| *width > 0 && *height > 0)
    else {
        let refusal = Refusal::new(Code::NotAnImage).detail("accepted: a whole PNG or JPEG");
        return Err(refusal.field("file", Code::NotAnImage));
    };
    if width_px.max(height_px) > MAX_SIDE_PX {
        let detail = format!("{width_px}x{height_px}; accepted: up to {MAX_SIDE_PX} a side");
        let refusal = Refusal::new(Code::ImageTooLarge).detail(detail);
        return Err(refusal.field("file", Code::ImageTooLarge));
    }
    Ok(Facts {
        media_type,
        width_px,
        height_px,
    })
}

/// Width and height of a PNG that came whole.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    signature::png_size(bytes).filter(|_| png_is_whole(bytes))
}

/// Returns `true` when a PNG has image data, ends with `IEND`, and every critical chunk (PNG, third edition, §5.4: its name begins
/// with an upper case letter) matches its CRC.
fn png_is_whole(bytes: &[u8]) -> bool {
    let mut pixel_bytes = 0;
    for chunk in signature::png_chunks(bytes).into_iter().flatten() {
        let needed = chunk.kind[0].is_ascii_uppercase();
        if needed && chunk.checksum != Some(checksum(chunk.kind, chunk.data)) {
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

/// Width and height of a JPEG that came whole: those of its first frame header (ITU-T T.81 §B.2.2), when a scan with data
/// follows (§B.2.3) and the image ends (`EOI`). Every step goes forward.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
    let (mut size, mut has_pixels) = (None, false);
    loop {
        let ([0xFF, marker], after) = rest.split_first_chunk()? else {
            return None;
        };
        let (length, _) = match *marker {
            // A fill byte before the marker.
            0xFF => {
                rest = rest.get(1..)?;
                continue;
            }
            0xD9 => return size.filter(|_| has_pixels),
            // A marker that stands alone, where none belongs.
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

/// Length of the data of a scan: up to the next marker, where stuffed bytes and restart markers belong to the data (§B.1.1.5).
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
        look(bytes).unwrap_err().code
    }

    #[test]
    fn the_header_tells_kind_and_size() {
        let facts = |media_type, width_px, height_px| Facts {
            media_type,
            width_px,
            height_px,
        };
        assert_eq!(look(&png_of(640, b"pixels")).unwrap(), facts("image/png", 640, 360));
        assert_eq!(look(JPEG).unwrap(), facts("image/jpeg", 640, 360));
    }

    #[test]
    fn what_only_looks_like_an_image_is_none() {
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
    fn an_image_that_came_in_part_or_was_damaged_is_none() {
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
    fn a_bomb_is_known_by_its_header() {
        assert_eq!(refused(&png_of(u32::MAX, b"pixels")), Code::ImageTooLarge);
        let wide = b"\xFF\xD8\xFF\xC0\0\x08\x08\x01\x68\xFF\xFF\x03\xFF\xDA\0\x02pixels\xFF\xD9";
        assert_eq!(refused(wide), Code::ImageTooLarge);
    }
}
