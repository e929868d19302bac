//! Detection of file formats whose signature needs more than a comparison of the first bytes. The upload and the media
//! child share these rules, so that they never disagree about a file.

/// The number of frames in an image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// One frame.
    Still,
    /// An animation.
    Animated,
    /// The given bytes do not contain the answer.
    Unknown,
}

/// A chunk of a PNG (PNG, third edition, §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PngChunk<'a> {
    /// The chunk type, such as `IDAT`.
    pub kind: &'a [u8; 4],
    /// The data, as far as the given bytes contain it.
    pub data: &'a [u8],
    /// The stored CRC-32 of type and data; `None` if the given bytes end before it.
    pub checksum: Option<u32>,
}

/// Returns the chunks of a PNG in their order, or `None` if the file is not a PNG. `head` may be the beginning of a
/// file.
pub fn png_chunks(head: &[u8]) -> Option<impl Iterator<Item = PngChunk<'_>>> {
    let mut rest = head.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    Some(std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (data, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        let checksum = after.split_first_chunk::<4>();
        rest = checksum.map_or(&[][..], |(_, next)| next);
        Some(PngChunk {
            kind,
            data,
            checksum: checksum.map(|(sum, _)| u32::from_be_bytes(*sum)),
        })
    }))
}

/// Detects animated PNGs: `acTL` comes before `IDAT` (PNG, third edition, §11.3.6). Returns `None` if the file is not a
/// PNG.
#[must_use]
pub fn png(head: &[u8]) -> Option<Motion> {
    let mut motions = png_chunks(head)?.filter_map(|chunk| match chunk.kind {
        b"acTL" => Some(Motion::Animated),
        b"IDAT" => Some(Motion::Still),
        // The file has no image data.
        b"IEND" => Some(Motion::Unknown),
        _ => None,
    });
    Some(motions.next().unwrap_or(Motion::Unknown))
}

/// Returns the width and height of a PNG in pixels (`IHDR`), or `None` if the file is not a PNG.
#[must_use]
pub fn png_size(head: &[u8]) -> Option<(u32, u32)> {
    let header = head.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?;
    let (width, rest) = header.split_first_chunk::<4>()?;
    let (height, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

/// Detects animated WebP files by the flag A of `VP8X` (RFC 9649 §2.7). Returns `None` if the file is not a WebP.
#[must_use]
pub fn webp(head: &[u8]) -> Option<Motion> {
    if !head.starts_with(b"RIFF") || head.get(8..12) != Some(b"WEBP") {
        return None;
    }
    Some(match (head.get(12..16), head.get(20)) {
        (Some(b"VP8X"), Some(flags)) if flags & 0x02 != 0 => Motion::Animated,
        (Some(b"VP8X"), None) | (None, _) => Motion::Unknown,
        _ => Motion::Still,
    })
}

/// Returns `true` for GIFs, animated or not (`GIF89a` §17).
#[must_use]
pub fn is_gif(head: &[u8]) -> bool {
    head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a")
}

/// Returns `true` for MXF files: the key of a header partition pack, after a run-in of arbitrary bytes
/// (SMPTE ST 377-1 §7.1).
#[must_use]
pub fn is_mxf(head: &[u8]) -> bool {
    const HEADER_PARTITION_KEY: &[u8] = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02";
    head.windows(HEADER_PARTITION_KEY.len())
        .any(|window| window == HEADER_PARTITION_KEY)
}

/// Returns `true` for raw DV streams (IEC 61834-2, SMPTE ST 314): a sequence begins with a header block and two subcode
/// blocks of 80 bytes each.
#[must_use]
pub fn is_dv(head: &[u8]) -> bool {
    let has_block = |offset: usize, id: &[u8]| head.get(offset..offset + id.len()) == Some(id);
    has_block(0, &[0x1f, 0x07, 0x00]) && has_block(80, &[0x3f, 0x07, 0x00]) && has_block(160, &[0x3f, 0x07, 0x01])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], length: u32) -> Vec<u8> {
        let body = vec![7; usize::try_from(length).unwrap() + 4];
        [&length.to_be_bytes()[..], kind, &body].concat()
    }

    fn png_of(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
    }

    #[test]
    fn animated_pngs_are_detected() {
        let ihdr = || chunk(b"IHDR", 13);
        let animated = png_of(&[ihdr(), chunk(b"gAMA", 4), chunk(b"acTL", 8), chunk(b"IDAT", 10)]);
        assert_eq!(png(&animated), Some(Motion::Animated));
        let still = png_of(&[ihdr(), chunk(b"IDAT", 10), chunk(b"acTL", 8)]);
        assert_eq!(png(&still), Some(Motion::Still));
        let empty = png_of(&[ihdr(), chunk(b"IEND", 0), chunk(b"IDAT", 10)]);
        assert_eq!(png(&empty), Some(Motion::Unknown));
        let long_profile = png_of(&[ihdr(), chunk(b"iCCP", 9_000)]);
        assert_eq!(png(&long_profile[..4_096]), Some(Motion::Unknown));
        assert_eq!(
            png(&png_of(&[[u32::MAX.to_be_bytes(), *b"zzzz"].concat()])),
            Some(Motion::Unknown)
        );
        assert_eq!(png(b"\x89PNG\r\n\x1a\n"), Some(Motion::Unknown));
        assert_eq!(png(b"GIF89a"), None);
        let sized = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\x68\x08";
        assert_eq!((png_size(sized), png_size(&sized[..20])), (Some((640, 360)), None));
    }

    #[test]
    fn animated_webps_are_detected() {
        assert_eq!(
            webp(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x12\0\0\0"),
            Some(Motion::Animated)
        );
        assert_eq!(webp(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0"), Some(Motion::Still));
        assert_eq!(webp(b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\xff"), Some(Motion::Still));
        assert_eq!(webp(b"RIFF\0\0\0\0WEBPVP8X"), Some(Motion::Unknown));
        assert_eq!(webp(b"RIFF\0\0\0\0AVI "), None);
    }

    #[test]
    fn gif_mxf_and_dv_are_detected() {
        assert!(is_gif(b"GIF89a\x40\x01") && is_gif(b"GIF87a") && !is_gif(b"GIF90a"));
        let pack = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02\x04\x00";
        assert!(is_mxf(pack) && is_mxf(&[&[0; 100][..], pack].concat()) && !is_mxf(&pack[..13]));
        let mut dv = vec![0xff; 240];
        for (at, block) in [
            (0, [0x1f, 0x07, 0x00]),
            (80, [0x3f, 0x07, 0x00]),
            (160, [0x3f, 0x07, 0x01]),
        ] {
            dv[at..at + 3].copy_from_slice(&block);
        }
        assert!(is_dv(&dv) && !is_dv(&dv[..100]) && !is_dv(&dv[80..]));
    }
}
