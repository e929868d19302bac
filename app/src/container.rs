//! Detects the container of a file by its first bytes. A file of an unknown kind, such as a playlist or a text renamed
//! to `.mp4`, is refused here and never reaches the media child.

use crate::Refusal;
use domain::Code;
use domain::file_signature::{self, Motion};
use domain::mpeg_ts;

/// Number of bytes that the detection needs; a shorter file is used whole.
pub(crate) const PEEK_BYTES: usize = 4 << 10;

/// The detail of a refused format.
const ACCEPTED: &str = "accepted: MP4, QuickTime, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, FLV, MXF, DV, Ogg, WAV, MP3, AAC, \
                        FLAC, ASF, GIF, APNG";

/// Checks that a file with these first bytes is media.
///
/// # Errors
/// `not_media`.
pub(crate) fn check_media(head: &[u8]) -> Result<(), Refusal> {
    let refusal = || Refusal::of_field("file", Code::NotMedia).detail(ACCEPTED);
    container(head).map(drop).ok_or_else(refusal)
}

/// The container of a file with these first bytes; `None` for files that are not accepted.
fn container(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let found = match head {
        _ if is_mp4(head) => "mp4",
        _ if at(0, &[0x1A, 0x45, 0xDF, 0xA3]) => "matroska",
        _ if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") => "wav",
        _ if at(0, b"RIFF") && at(8, b"AVI") => "avi",
        _ if at(0, b"FLV\x01") => "flv",
        _ if at(0, b"OggS") => "ogg",
        _ if at(0, b"fLaC") => "flac",
        _ if at(0, &ASF_HEADER) => "asf",
        _ if at(0, &[0, 0, 1, 0xBA]) => "mpeg",
        _ if file_signature::is_gif(head) => "gif",
        _ if matches!(file_signature::png(head), Some(Motion::Animated | Motion::Unknown)) => "apng",
        // FFmpeg does not decode animated WebP. The upload is accepted, so that the task can fail with a specific
        // error.
        _ if file_signature::webp(head) == Some(Motion::Animated) => "webp",
        _ if file_signature::is_mxf(head) => "mxf",
        _ if file_signature::is_dv(head) => "dv",
        _ if mpeg_ts::first_packet(head).is_some() => "mpegts",
        _ if at(0, b"ID3") && head.get(3).is_some_and(|version| *version < 0x10) => "mp3",
        _ if repeats(head, adts_frame_bytes) => "aac",
        _ if repeats(head, mpeg_audio_frame_bytes) => "mp3",
        // Recordings that begin inside a frame or a pack.
        _ if has_pack(head) => "mpeg",
        _ if has_frames(head, adts_frame_bytes) => "aac",
        _ if has_frames(head, mpeg_audio_frame_bytes) => "mp3",
        _ => return None,
    };
    Some(found)
}

/// `ASF_Header_Object`, 75B22630-668E-11CF-A6D9-00AA0062CE6C.
const ASF_HEADER: [u8; 16] = [
    0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C,
];

/// Returns `true` if the file begins with a box of an ISO base media or `QuickTime` file (ISO/IEC 14496-12 §4.2) of a
/// valid size.
fn is_mp4(head: &[u8]) -> bool {
    const FIRST: [&[u8]; 10] = [
        b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx",
    ];
    let Some((size, rest)) = head.split_first_chunk::<4>() else {
        return false;
    };
    let size = u32::from_be_bytes(*size);
    FIRST.iter().any(|kind| rest.starts_with(kind)) && (size >= 8 || size <= 1)
}

/// Returns `true` if the file begins with a frame and another one follows it. In a file of exactly one frame, that
/// frame is enough.
fn repeats(head: &[u8], frame_bytes: impl Fn(&[u8]) -> Option<usize>) -> bool {
    let Some(first) = frame_bytes(head) else { return false };
    let rest = head.get(first..).unwrap_or_default();
    rest.is_empty() || frame_bytes(rest).is_some()
}

/// Frames in a row that are evidence where the first one is not at the beginning. Fewer could be a coincidence.
const MIN_FRAMES: usize = 3;

/// Returns `true` if frames of one kind follow each other from any offset to the end of the bytes.
fn has_frames(head: &[u8], frame_bytes: impl Fn(&[u8]) -> Option<usize>) -> bool {
    // Version, layer and sampling rate are those of the first frame.
    let kind = |frame: &[u8]| Some((*frame.get(1)?, frame.get(2)? & 0x0C));
    (0..head.len()).any(|offset| {
        let mut rest = head.get(offset..).unwrap_or_default();
        let (first, mut frames) = (kind(rest), 0);
        while let Some(bytes) = frame_bytes(rest).filter(|_| kind(rest) == first) {
            rest = rest.get(bytes..).unwrap_or_default();
            frames += 1;
        }
        // What is left is too short for a header.
        frames >= MIN_FRAMES && rest.len() < 6
    })
}

/// Returns `true` if a pack of an MPEG program stream begins at any offset (ISO/IEC 13818-1 §2.5.3.3, ISO/IEC 11172-1
/// §2.4.3.2): its header has the marker bits of its version, and a packet or system header follows.
fn has_pack(head: &[u8]) -> bool {
    head.windows(14).enumerate().any(|(offset, pack)| {
        let header_bytes = match *pack {
            [0, 0, 1, 0xBA, clock, .., stuffing] if clock & 0xC4 == 0x44 => 14 + usize::from(stuffing & 7),
            [0, 0, 1, 0xBA, clock, ..] if clock & 0xF1 == 0x21 => 12,
            _ => return false,
        };
        let next = head.get(offset + header_bytes..).unwrap_or_default();
        matches!(*next, [0, 0, 1, 0xBB..=0xFF, ..])
    })
}

/// Length of an ADTS frame in bytes (ISO/IEC 13818-7 §6.2).
fn adts_frame_bytes(head: &[u8]) -> Option<usize> {
    let [0xFF, sync, rate, a, b, c, ..] = *head else {
        return None;
    };
    let length = usize::from(a & 0x03) << 11 | usize::from(b) << 3 | usize::from(c >> 5);
    (sync & 0xF6 == 0xF0 && rate >> 2 & 0x0F < 13 && length >= 7).then_some(length)
}

/// Length of an MPEG audio frame, layers I to III, in bytes (ISO/IEC 11172-3 §2.4.3.1).
fn mpeg_audio_frame_bytes(head: &[u8]) -> Option<usize> {
    let [0xFF, sync, rates, ..] = *head else { return None };
    let (version, layer) = (sync >> 3 & 3, sync >> 1 & 3);
    let (bitrate, rate, padding) = (usize::from(rates >> 4), rates >> 2 & 3, usize::from(rates >> 1 & 1));
    if sync & 0xE0 != 0xE0 || version == 1 || layer == 0 || rate == 3 {
        return None;
    }
    let first_version = version == 3;
    let kbps = *bitrates_kbps(first_version, layer)
        .get(bitrate)
        .filter(|kbps| **kbps > 0)?;
    let base_hz = *[44_100, 48_000, 32_000].get(usize::from(rate))?;
    let hz = base_hz
        / match version {
            3 => 1,
            2 => 2,
            _ => 4,
        };
    Some(match layer {
        3 => (12_000 * kbps / hz + padding) * 4,
        1 if !first_version => 72_000 * kbps / hz + padding,
        _ => 144_000 * kbps / hz + padding,
    })
}

/// Bit rates in kbit/s by index. Index 0 ("free format") and the missing index 15 ("forbidden") are not accepted.
const fn bitrates_kbps(first_version: bool, layer: u8) -> &'static [usize; 15] {
    match (first_version, layer) {
        (true, 3) => &[0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        (true, 2) => &[0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        (true, _) => &[0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        (false, 3) => &[0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (false, _) => &[0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(parts: &[(usize, &[u8])], len: usize) -> Vec<u8> {
        let mut head = vec![0; len];
        for (offset, bytes) in parts {
            head[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn containers_are_detected_by_their_first_bytes() {
        let every = |first: usize, step: usize| {
            placed(
                &[(first, b"G"), (first + step, b"G"), (first + 2 * step, b"G")],
                3 * step,
            )
        };
        for (name, head) in [
            ("mp4", b"\0\0\0\x20ftypisom".to_vec()),
            ("mp4", b"\0\0\0\x14ftypqt  ".to_vec()),
            ("mp4", b"\0\0\0\x01mdat\0\0\0\0".to_vec()),
            ("mp4", b"\0\0\0\x08wide".to_vec()),
            ("mp4", b"\0\0\x10\0moov".to_vec()),
            ("matroska", b"\x1A\x45\xDF\xA3\x9F".to_vec()),
            ("avi", b"RIFF\0\0\0\0AVI LIST".to_vec()),
            ("wav", b"RIFF\0\0\0\0WAVEfmt ".to_vec()),
            ("wav", b"RF64\xFF\xFF\xFF\xFFWAVEds64".to_vec()),
            ("flv", b"FLV\x01\x05".to_vec()),
            ("ogg", b"OggS\0\x02".to_vec()),
            ("flac", b"fLaC\0\0\0\x22".to_vec()),
            ("mpeg", b"\0\0\x01\xBA\x44".to_vec()),
            ("asf", ASF_HEADER.to_vec()),
            ("gif", b"GIF89a\x40\x01".to_vec()),
            ("apng", b"\x89PNG\r\n\x1A\n\0\0\0\x08acTL".to_vec()),
            ("webp", b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0".to_vec()),
            (
                "mxf",
                b"\x06\x0E\x2B\x34\x02\x05\x01\x01\x0D\x01\x02\x01\x01\x02\x04".to_vec(),
            ),
            (
                "dv",
                placed(&[(0, b"\x1F\x07\0"), (80, b"\x3F\x07\0"), (160, b"\x3F\x07\x01")], 240),
            ),
            ("mpegts", every(0, 188)),
            ("mpegts", every(4, 192)),
            ("mpegts", every(0, 204)),
            ("mpegts", [&[7; 100][..], &every(0, 188), &every(0, 188)].concat()),
            ("mp3", b"ID3\x04\0\0".to_vec()),
            ("mp3", placed(&[(0, b"\xFF\xFB\x90\0"), (417, b"\xFF\xFB\x90\0")], 600)),
            ("mp3", placed(&[(0, b"\xFF\xFB\x90\0")], 417)),
            (
                "aac",
                placed(
                    &[
                        (0, b"\xFF\xF1\x50\x80\x02\x1F\xFC"),
                        (16, b"\xFF\xF1\x50\x80\x02\x1F\xFC"),
                    ],
                    32,
                ),
            ),
        ] {
            assert_eq!(container(&head), Some(name), "{head:02x?}");
        }
    }

    #[test]
    fn streams_that_begin_inside_a_frame_or_a_pack_are_detected() {
        let mp3 = placed(&[(0, b"\xFF\xFB\x90\0")], 417);
        let aac = placed(&[(0, b"\xFF\xF1\x50\x80\x02\x1F\xFC")], 16);
        let mpeg_2 = placed(&[(0, b"\0\0\x01\xBA\x44"), (14, b"\0\0\x01\xE0")], 2_048);
        let mpeg_1 = placed(&[(0, b"\0\0\x01\xBA\x21"), (12, b"\0\0\x01\xBB")], 2_048);
        for (name, frame) in [("mp3", mp3), ("aac", aac), ("mpeg", mpeg_2), ("mpeg", mpeg_1)] {
            for cut in [&[0_u8; 300][..], &[0xFF, 0xD8, 7, 7][..]] {
                let head = [cut, &frame.repeat(3)].concat();
                assert_eq!(container(&head), Some(name), "{cut:?}");
            }
        }
        // Two headers, or three of different kinds, may be a coincidence.
        let other = placed(&[(0, b"\xFF\xFB\x94\0")], 384);
        let two = placed(&[(0, b"\xFF\xFB\x90\0")], 417).repeat(2);
        assert_eq!(container(&[&[0; 300][..], &two].concat()), None);
        assert_eq!(container(&[&[0; 300][..], &two, &other].concat()), None);
        assert_eq!(container(&[&[0; 300][..], b"\0\0\x01\xBA", &[0; 300]].concat()), None);
    }

    #[test]
    fn other_files_are_not_media() {
        for head in [
            b"".to_vec(),
            b"G".to_vec(),
            b"#EXTM3U\n#EXT-X-VERSION:3\n".to_vec(),
            b"<?xml version=\"1.0\"?><MPD/>".to_vec(),
            b"ffconcat version 1.0\nfile '/etc/passwd'\n".to_vec(),
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n".to_vec(),
            b"GIF90a".to_vec(),
            b"\x89PNG\r\n\x1A\n\0\0\0\x0AIDAT".to_vec(),
            b"\xFF\xD8\xFF\xE0\0\x10JFIF".to_vec(),
            b"%PDF-1.7".to_vec(),
            b"PK\x03\x04".to_vec(),
            b"MZ".to_vec(),
            b"\x7FELF".to_vec(),
            b"RIFF\0\0\0\0WEBPVP8 ".to_vec(),
            b"\0\0\0\x05ftyp".to_vec(),
            b"\xFF\xFE<\0h\0t\0m\0l\0".to_vec(),
            b"\xFF\xFB\x90\0 not followed by a frame ".repeat(40),
            vec![0; 4_096],
            b"Good morning".to_vec(),
        ] {
            assert_eq!(container(&head), None, "{:02x?}", &head[..head.len().min(16)]);
        }
    }
}
