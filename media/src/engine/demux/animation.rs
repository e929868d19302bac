//! Detection of truncated animations by the blocks of GIF (`GIF89a`) and the chunks of APNG (PNG, third edition).
//! FFmpeg reads up to the break without an error.

use crate::engine::demux::container::BrokenOff;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Maximum number of blocks or chunks to follow.
const MAX_BLOCKS: u32 = 10_000_000;

/// Size of the search window in bytes.
const WINDOW_BYTES: usize = 64 << 10;

/// Duration of a frame without a delay, in microseconds.
const DEFAULT_DELAY_US: u64 = 100_000;

/// Size of a graphic control extension in bytes.
const CONTROL_BYTES: usize = 8;

/// Checks the chain of blocks of a GIF. Returns the duration of its frames if the chain is broken, `None` if it is
/// complete.
pub(crate) fn broken_gif(file: &File) -> Option<BrokenOff> {
    let length = file.metadata().ok()?.len();
    let [.., flags] = read::<11>(file, 0).ok()?;
    let mut at = 13 + table_bytes(flags);
    let mut delays_us: u64 = 0;
    let mut is_broken = false;
    for _ in 0..MAX_BLOCKS {
        match gif_block(file, at) {
            Ok(Block::Trailer) => {
                return is_broken.then_some(BrokenOff {
                    length_us: delays_us,
                    open_end: false,
                });
            }
            Ok(Block::Control { delay_us, next }) => {
                delays_us = delays_us.saturating_add(delay_us);
                at = next;
            }
            Ok(Block::Other { next }) => at = next,
            // Some writers omit the trailer.
            Err(_) if at == length && !is_broken => return None,
            Err(_) => {
                is_broken = true;
                match next_control(file, at, length) {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
    }
    Some(BrokenOff {
        length_us: delays_us,
        open_end: true,
    })
}

enum Block {
    /// A graphic control extension, which begins a frame.
    Control {
        delay_us: u64,
        next: u64,
    },
    Other {
        next: u64,
    },
    Trailer,
}

fn gif_block(file: &File, at: u64) -> io::Result<Block> {
    match read(file, at)? {
        [0x3b] => Ok(Block::Trailer),
        [0x21] => {
            let [label] = read(file, at + 1)?;
            let next = after_sub_blocks(file, at + 2)?;
            if label != 0xf9 {
                return Ok(Block::Other { next });
            }
            let delay = u64::from(u16::from_le_bytes(read(file, at + 4)?));
            // Browsers and FFmpeg treat shorter delays as missing.
            let delay_us = if delay < 2 { DEFAULT_DELAY_US } else { delay * 10_000 };
            Ok(Block::Control { delay_us, next })
        }
        [0x2c] => {
            let [flags] = read(file, at + 9)?;
            let next = after_sub_blocks(file, at + 11 + table_bytes(flags))?;
            Ok(Block::Other { next })
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Size in bytes of the color table that a flags field declares.
const fn table_bytes(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

fn after_sub_blocks(file: &File, mut at: u64) -> io::Result<u64> {
    for _ in 0..MAX_BLOCKS {
        let [size] = read(file, at)?;
        at += 1 + u64::from(size);
        if size == 0 {
            return Ok(at);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Finds the first graphic control extension after an offset.
fn next_control(file: &File, after: u64, length: u64) -> Option<u64> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = after + 1;
    while at < length {
        let count = file.read_at(&mut window, at).ok()?;
        let begins = |block: &&[u8]| matches!(block, [0x21, 0xf9, 4, flags, _, _, _, 0, ..] if flags & 0xe0 == 0);
        let mut blocks = window.get(..count)?.windows(CONTROL_BYTES).enumerate();
        if let Some((offset, _)) = blocks.find(|(_, block)| begins(block)) {
            return Some(at + offset as u64);
        }
        at += count.checked_sub(CONTROL_BYTES - 1).filter(|step| *step > 0)? as u64;
    }
    None
}

/// The frames of an APNG whose chunks break off, or that has fewer frames than its header tells; `None` for a whole
/// one.
pub(crate) fn broken_apng(file: &File) -> Option<BrokenOff> {
    let (mut at, mut told, mut found, mut delays_us) = (8, None, 0_u64, 0_u64);
    for _ in 0..MAX_BLOCKS {
        let Ok(head) = read::<8>(file, at) else { break };
        let [a, b, c, d, name @ ..] = head;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        let body = at + 8;
        match &name {
            b"IEND" => break,
            b"acTL" => told = Some(u64::from(u32::from_be_bytes(read(file, body).ok()?))),
            b"fcTL" => {
                let Ok([high, low, high_den, low_den]) = read(file, body + 20) else {
                    break;
                };
                let number = u64::from(u16::from_be_bytes([high, low]));
                let parts = match u64::from(u16::from_be_bytes([high_den, low_den])) {
                    0 => 100,
                    parts => parts,
                };
                let delay_us = if number == 0 {
                    DEFAULT_DELAY_US
                } else {
                    number * 1_000_000 / parts
                };
                (found, delays_us) = (found + 1, delays_us.saturating_add(delay_us));
            }
            _ => {}
        }
        at = body + size + 4;
    }
    let told = told.filter(|told| *told > found && found > 0)?;
    // The frames that are missing are as long as the others on average.
    let length_us = u128::from(delays_us) * u128::from(told) / u128::from(found);
    Some(BrokenOff {
        length_us: u64::try_from(length_us).ok()?,
        open_end: false,
    })
}

fn read<const COUNT: usize>(file: &File, at: u64) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
