//! Signatures of files whose first bytes need more than a comparison. The upload and the media child judge by the same rules.

/// What a picture file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// One picture.
    Still,
    /// Several, one after the other.
    Animated,
    /// The bytes at hand do not tell.
    Unknown,
}

/// A chunk of a PNG (PNG, third edition, §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its name, such as `IDAT`.
    pub kind: &'a [u8; 4],
    /// Its data, as far as it is at hand.
    pub data: &'a [u8],
    /// The CRC-32 that the file tells of name and data; `None` when it is not at hand.
    pub checksum: Option<u32>,
}

/// The chunks of a PNG in their order; `None` when it is no PNG.
pub fn png_chunks(head: &[u8]) -> Option<impl Iterator<Item = Chunk<'_>>> {
    let mut rest = head.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    Some(std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (data, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        let checksum = after.split_first_chunk::<4>();
        rest = checksum.map_or(&[][..], |(_, next)| next);
        Some(Chunk {
            kind,
            data,
            checksum: checksum.map(|(sum, _)| u32::from_be_bytes(*sum)),
        })
    }))
}

/// The kind of a PNG (PNG, third edition, §11.3.6: `acTL` stands before `IDAT`); `None` when it is no PNG.
#[must_use]
pub fn png(head: &[u8]) -> Option<Motion> {
    let mut motions = png_chunks(head)?.filter_map(|chunk| match chunk.kind {
        b"acTL" => Some(Motion::Animated),
        b"IDAT" => Some(Motion::Still),
        // No pixels came.
        b"IEND" => Some(Motion::Unknown),
        _ => None,
    });
    Some(motions.next().unwrap_or(Motion::Unknown))
}

/// The width and the height of a PNG in pixels (`IHDR`); `None` when it is no PNG.
#[must_use]
pub fn png_size(head: &[u8]) -> Option<(u32, u32)> {
    let header = head.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?;
    let (width, rest) = header.split_first_chunk::<4>()?;
    let (height, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

/// Whether a WebP is animated (RFC 9649 §2.7, the flag A of `VP8X`); `None` when it is no WebP.
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

/// Whether a file is a GIF (`GIF89a` §17), animated or not.
#[must_use]
pub fn is_gif(head: &[u8]) -> bool {
    head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a")
}

/// Whether a file is an MXF (SMPTE ST 377-1 §7.1): the key of a header partition pack, after a run-in of any bytes.
#[must_use]
pub fn is_mxf(head: &[u8]) -> bool {
    const PACK: &[u8] = b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02";
    head.windows(PACK.len()).any(|window| window == PACK)
}

/// Whether a file is a raw DV stream (IEC 61834-2, SMPTE ST 314): the first blocks of a sequence, each of 80 bytes, are one
/// header and two of subcode.
#[must_use]
pub fn is_dv(head: &[u8]) -> bool {
    let at = |from: usize, block: &[u8]| head.get(from..from + block.len()) == Some(block);
    at(0, &[0x1f, 0x07, 0x00]) && at(80, &[0x3f, 0x07, 0x00]) && at(160, &[0x3f, 0x07, 0x01])
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
    fn an_animated_png_is_told_from_a_still_one() {
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
    fn an_animated_webp_is_told_from_a_still_one() {
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
    fn gif_mxf_and_dv_are_known() {
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
