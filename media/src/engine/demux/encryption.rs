//! Detects encrypted sources by their containers. FFmpeg reads such files without an error and decodes noise.

use crate::engine::demux::{asf, matroska, mp4};
use domain::{Code, Failure};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a transport stream that are looked at.
const LOOKED_AT: u64 = 2 << 20;

/// Packets of one stream below which nothing is concluded: a broken one may have any flags.
const ENOUGH: u32 = 8;

/// Refuses a file of which a stream of pictures or sound is encrypted.
///
/// # Errors
/// [`Code::SourceEncrypted`] with the scheme, as far as it is known.
pub(crate) fn refuse_encrypted(file: &File) -> Result<(), Failure> {
    let mut head = [0; 12];
    // What is shorter, or cannot be read, is told by whoever opens it.
    let Ok(()) = file.read_exact_at(&mut head, 0) else {
        return Ok(());
    };
    let found = match head {
        [0x1a, 0x45, 0xdf, 0xa3, ..] => {
            matroska::is_encrypted(file).map(|found| found.then_some("Matroska encryption"))
        }
        [0x30, 0x26, 0xb2, 0x75, ..] => Ok(asf::is_encrypted(file).then_some("Windows Media DRM")),
        [0x47, ..] | [_, _, _, _, 0x47, ..] => {
            is_scrambled(file).map(|found| found.then_some("a scrambled transport stream"))
        }
        _ => mp4::encryption_scheme(file),
    };
    match found {
        Ok(Some(scheme)) => Err(Failure::input(Code::SourceEncrypted, scheme)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Whether most packets of some stream are scrambled (ISO/IEC 13818-1, `transport_scrambling_control`).
fn is_scrambled(file: &File) -> io::Result<bool> {
    let length = usize::try_from(file.metadata()?.len().min(LOOKED_AT)).unwrap_or(0);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    let step = [(0, 188), (4, 192), (0, 204)].into_iter().find(|(first, step)| {
        bytes
            .iter()
            .skip(*first)
            .step_by(*step)
            .take(5)
            .all(|byte| *byte == 0x47)
    });
    let Some((first, step)) = step else { return Ok(false) };
    let mut streams: HashMap<u16, (u32, u32)> = HashMap::new();
    for packet in bytes.get(first..).unwrap_or_default().chunks_exact(step) {
        let &[0x47, high, low, flags, ..] = packet else {
            continue;
        };
        if flags & 0x10 != 0 {
            let stream = u16::from_be_bytes([high & 0x1f, low]);
            let (scrambled, all) = streams.entry(stream).or_default();
            *scrambled += u32::from(flags & 0xc0 != 0);
            *all += 1;
        }
    }
    // Packets without content are filled with anything.
    streams.remove(&0x1fff);
    Ok(streams
        .values()
        .any(|(scrambled, all)| *all >= ENOUGH && scrambled * 2 > *all))
}
