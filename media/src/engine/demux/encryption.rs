//! Detects encrypted sources by their containers. Without the key, FFmpeg reads most of them without an error and
//! decodes noise, so they are refused before they are opened.

use crate::engine::demux::{asf, matroska, mp4};
use crate::engine::file_bytes::{length, read, read_range};
use domain::{Code, Failure};
use std::collections::HashMap;
use std::fs::File;
use std::io;

/// Number of bytes of a transport stream in which scrambled packets are counted.
const SEARCHED_BYTES: u64 = 2 << 20;

/// Minimum number of packets of a stream for a decision: a damaged packet may have any flags.
const MIN_PACKETS: u32 = 8;

/// PID of null packets, which may have any content.
const NULL_PID: u16 = 0x1fff;

/// Refuses a file with an encrypted video or audio stream.
///
/// # Errors
/// [`Code::SourceEncrypted`] with the scheme, if known.
pub(crate) fn refuse_encrypted(file: &File) -> Result<(), Failure> {
    // Files that are too short or unreadable are reported when they are opened.
    let Ok(head) = read::<12>(file, 0) else {
        return Ok(());
    };
    let scheme = match head {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => {
            matroska::is_encrypted(file).map(|encrypted| encrypted.then_some("Matroska encryption"))
        }
        [0x30, 0x26, 0xb2, 0x75, ..] => Ok(asf::is_encrypted(file).then_some("Windows Media DRM")),
        [0x47, ..] | [_, _, _, _, 0x47, ..] => {
            is_scrambled(file).map(|scrambled| scrambled.then_some("a scrambled transport stream"))
        }
        _ => mp4::encryption_scheme(file),
    };
    match scheme {
        Ok(Some(scheme)) => Err(Failure::new(Code::SourceEncrypted, scheme)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Packets of one stream of a transport stream.
#[derive(Default)]
struct PacketCounts {
    scrambled: u32,
    all: u32,
}

/// Returns `true` if most packets of a stream are scrambled (ISO/IEC 13818-1 §2.4.3.3, `transport_scrambling_control`).
fn is_scrambled(file: &File) -> io::Result<bool> {
    let bytes = read_range(file, &(0..length(file).min(SEARCHED_BYTES)))?;
    // Offset of the first sync byte and distance between packets: TS, M2TS, TS with checksums.
    let layout = [(0, 188), (4, 192), (0, 204)].into_iter().find(|(first, distance)| {
        bytes
            .iter()
            .skip(*first)
            .step_by(*distance)
            .take(5)
            .all(|byte| *byte == 0x47)
    });
    let Some((first, distance)) = layout else {
        return Ok(false);
    };
    let mut streams: HashMap<u16, PacketCounts> = HashMap::new();
    for packet in bytes.get(first..).unwrap_or_default().chunks_exact(distance) {
        let &[0x47, high, low, flags, ..] = packet else {
            continue;
        };
        // Packets without a payload are never scrambled.
        if flags & 0x10 != 0 {
            let pid = u16::from_be_bytes([high & 0x1f, low]);
            let counts = streams.entry(pid).or_default();
            counts.scrambled += u32::from(flags & 0xc0 != 0);
            counts.all += 1;
        }
    }
    streams.remove(&NULL_PID);
    Ok(streams
        .values()
        .any(|counts| counts.all >= MIN_PACKETS && counts.scrambled * 2 > counts.all))
}
