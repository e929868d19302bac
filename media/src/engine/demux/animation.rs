//! Detection of truncated animations by the blocks of GIF (`GIF89a`) and the chunks of APNG (PNG, third edition).
//! In a GIF, the pixels of each image are counted as well. FFmpeg reads up to the break without an error.

use crate::engine::cancel::Cancel;
use crate::engine::demux::broken_off::{BreakCause, BrokenOff};
use crate::engine::demux::gif_pixels::PixelCounter;
use crate::engine::file_bytes::{BufferedFile, be, find, le, length};
use std::fs::File;
use std::io;

/// Maximum number of blocks or chunks to follow.
const MAX_BLOCKS: u32 = 10_000_000;

/// Duration of a frame without a delay, in microseconds, as in browsers, in the GIF demuxer of FFmpeg, and by the
/// option `default_fps` of `open.rs`.
const DEFAULT_DELAY_US: u64 = 100_000;

/// Size of a graphic control extension in bytes.
const CONTROL_BYTES: usize = 8;

/// Checks the chain of blocks of a GIF and the number of pixels of its images. Returns the duration of its frames if
/// the chain is broken or pixels are missing, `None` if it is complete or the work is canceled.
pub(crate) fn broken_gif(file: &File, cancel: &Cancel) -> Option<BrokenOff> {
    let (length, mut bytes) = (length(file), BufferedFile::new(file));
    let [.., flags] = bytes.read::<11>(0).ok()?;
    let mut at = 13 + table_bytes(flags);
    let mut delays_us: u64 = 0;
    let mut is_broken = false;
    for _ in 0..MAX_BLOCKS {
        cancel.check().ok()?;
        match gif_block(&mut bytes, at) {
            Ok(Block::Trailer) => {
                return is_broken.then_some(BrokenOff {
                    length_us: delays_us,
                    // Whole frames may be missing at the break.
                    unknown_loss: Some(BreakCause::Inside),
                });
            }
            Ok(Block::Control { delay_us, next }) => {
                delays_us = delays_us.saturating_add(delay_us);
                at = next;
            }
            Ok(Block::Image { next, is_complete }) => {
                is_broken |= !is_complete;
                at = next;
            }
            Ok(Block::Other { next }) => at = next,
            // Some writers omit the trailer.
            Err(_) if at == length && !is_broken => return None,
            Err(_) => {
                is_broken = true;
                match next_control(file, at) {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
    }
    Some(BrokenOff {
        length_us: delays_us,
        unknown_loss: Some(BreakCause::End),
    })
}

enum Block {
    /// A graphic control extension, which begins a frame.
    Control {
        delay_us: u64,
        next: u64,
    },
    Image {
        next: u64,
        /// `true` if its data has all of its pixels.
        is_complete: bool,
    },
    Other {
        next: u64,
    },
    Trailer,
}

fn gif_block(bytes: &mut BufferedFile<'_>, at: u64) -> io::Result<Block> {
    match bytes.read(at)? {
        [0x3b] => Ok(Block::Trailer),
        [0x21] => {
            let [label] = bytes.read(at + 1)?;
            let next = for_each_sub_block(bytes, at + 2, |_| ())?;
            if label != 0xf9 {
                return Ok(Block::Other { next });
            }
            let delay = le(&bytes.read::<2>(at + 4)?);
            // Browsers and FFmpeg treat shorter delays as missing.
            let delay_us = if delay < 2 { DEFAULT_DELAY_US } else { delay * 10_000 };
            Ok(Block::Control { delay_us, next })
        }
        [0x2c] => {
            let [_, _, _, _, a, b, c, d, flags] = bytes.read(at + 1)?;
            let data = at + 10 + table_bytes(flags);
            let [min_code_bits] = bytes.read(data)?;
            let mut counter = PixelCounter::new(min_code_bits);
            let next = for_each_sub_block(bytes, data + 1, |data| counter.read(data))?;
            Ok(Block::Image {
                next,
                is_complete: counter.is_complete(le(&[a, b]) * le(&[c, d])),
            })
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Size in bytes of the color table that a flags field declares.
const fn table_bytes(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Calls `visit` with the data of each sub-block. Returns the offset after the last one.
fn for_each_sub_block(bytes: &mut BufferedFile<'_>, mut at: u64, mut visit: impl FnMut(&[u8])) -> io::Result<u64> {
    for _ in 0..MAX_BLOCKS {
        let [size] = bytes.read(at)?;
        visit(bytes.get(at + 1, usize::from(size))?);
        at += 1 + u64::from(size);
        if size == 0 {
            return Ok(at);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Finds the first graphic control extension after an offset.
fn next_control(file: &File, after: u64) -> Option<u64> {
    find(
        file,
        after + 1,
        CONTROL_BYTES,
        |_, block| matches!(block, [0x21, 0xf9, 4, flags, _, _, _, 0] if flags & 0xe0 == 0),
    )
}

/// Checks the chunks of an APNG. Returns the duration of its frames if the chunks break off or are fewer than the
/// header states, `None` if it is complete.
pub(crate) fn broken_apng(file: &File) -> Option<BrokenOff> {
    let (length, mut bytes) = (length(file), BufferedFile::new(file));
    let (mut at, mut declared, mut present, mut delays_us) = (8, None, 0_u64, 0_u64);
    let mut is_cut = true;
    for _ in 0..MAX_BLOCKS {
        let Ok([a, b, c, d, name @ ..]) = bytes.read::<8>(at) else {
            break;
        };
        let size = be(&[a, b, c, d]);
        let body = at + 8;
        match &name {
            b"IEND" => {
                is_cut = false;
                break;
            }
            b"acTL" => declared = Some(be(&bytes.read::<4>(body).ok()?)),
            b"fcTL" => {
                let Ok(delay_us) = frame_delay_us(&mut bytes, body) else {
                    break;
                };
                (present, delays_us) = (present + 1, delays_us.saturating_add(delay_us));
            }
            _ => {}
        }
        at = body + size + 4;
    }
    // A file that ends after a whole chunk lacks only its end mark.
    is_cut &= at > length;
    let declared = declared.filter(|declared| present > 0 && (*declared > present || is_cut))?;
    // The frames that are missing are as long as the others on average.
    let length_us = u128::from(delays_us) * u128::from(declared.max(present)) / u128::from(present);
    Some(BrokenOff {
        length_us: u64::try_from(length_us).ok()?,
        unknown_loss: is_cut.then_some(BreakCause::End),
    })
}

/// Delay after a frame, in microseconds, from the body of its `fcTL` chunk.
fn frame_delay_us(bytes: &mut BufferedFile<'_>, body: u64) -> io::Result<u64> {
    let [high, low, high_den, low_den] = bytes.read(body + 20)?;
    let number = be(&[high, low]);
    let parts = match be(&[high_den, low_den]) {
        0 => 100,
        parts => parts,
    };
    Ok(if number == 0 {
        DEFAULT_DELAY_US
    } else {
        number * 1_000_000 / parts
    })
}
