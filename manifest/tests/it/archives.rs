//! gzip and zstd: several members and frames, cuts, damage, and bytes behind the end.

use super::files::{Chunks, gzip, open, rows, zstd};
use manifest::{Error, Limits, Packing, Reader};
use proptest::prelude::*;

/// The rows that were read, and the reason of the damage.
fn damage(file: &[u8]) -> (usize, Option<String>) {
    let mut reader = match open(file, Limits::default()) {
        Ok(reader) => reader,
        Err(Error::ArchiveDamaged { reason }) => return (0, Some(reason)),
        Err(error) => panic!("{error}"),
    };
    let mut rows = 0;
    loop {
        match reader.next() {
            Ok(Some(_)) => rows += 1,
            Ok(None) => return (rows, None),
            Err(Error::ArchiveDamaged { reason }) => return (rows, Some(reason)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Rows that do not compress well.
fn table(rows: u64) -> String {
    let mut text = "id,name\n".to_owned();
    for row in 0..rows {
        let noise = (row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        text += &format!("{row},{noise:x}\n");
    }
    text
}

#[test]
fn all_members_and_frames_are_read() {
    let text = table(10_000);
    let (first, second) = text.as_bytes().split_at(text.len() / 2 + 3);
    // A skippable frame of five bytes.
    let skippable = b"\x53\x2A\x4D\x18\x05\0\0\0\x28\xB5\x2F\xFD\0";
    let files = [
        [gzip(first), gzip(b""), gzip(second)].concat(),
        [zstd(first), zstd(b""), zstd(second)].concat(),
        [skippable, &zstd(first)[..], skippable, &zstd(second), skippable].concat(),
    ];
    for file in files {
        assert_eq!(damage(&file), (10_000, None));
        let reader = Reader::open(Chunks::new(file.clone(), 1), file.len() as u64, Limits::default()).unwrap();
        assert_ne!(reader.layout().packing, Packing::Plain);
        assert_eq!(rows(reader).len(), 10_000);
    }
}

#[test]
fn rows_before_a_cut_are_read() {
    let text = table(20_000);
    for packed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let (read, reason) = damage(&packed[..packed.len() / 2]);
        assert!((5_000..15_000).contains(&read), "{read}");
        assert!(reason.is_some());
        for cut in [1, 4, 5, 8, 9, 20] {
            let (read, reason) = damage(&packed[..packed.len() - cut]);
            assert!(read > 15_000 && reason.is_some(), "{read} {reason:?}");
        }
        for length in 4..20 {
            assert!(matches!(damage(&packed[..length]), (0, Some(_))));
        }
    }
}

#[test]
fn other_bytes_behind_the_end_are_damage() {
    let text = table(100);
    for packed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        for garbage in [&b"\0"[..], b"garbage garbage garbage", &[0; 600], text.as_bytes()] {
            let (read, reason) = damage(&[&packed[..], garbage].concat());
            assert_eq!(read, 100);
            assert!(reason.is_some());
        }
    }
}

#[test]
fn a_checksum_that_does_not_match_is_damage() {
    let text = table(100);
    let mut packed = gzip(text.as_bytes());
    let crc = packed.len() - 8;
    packed[crc] ^= 1;
    assert!(matches!(damage(&packed), (100, Some(_))));

    let mut packed = zstd(text.as_bytes());
    let last = packed.len() - 1;
    packed[last] ^= 1;
    let expected = "the checksum of a frame does not match".to_owned();
    assert_eq!(damage(&packed), (100, Some(expected)));
}

#[test]
fn a_large_window_is_refused() {
    // Windows of 8 MiB and of 9 MiB (exponent and mantissa), and one last raw block.
    let frame = |window: u8| [b"\x28\xB5\x2F\xFD\0", &[window][..], b"\x21\0\0a\n1\n"].concat();
    assert_eq!(damage(&frame(13 << 3)), (1, None));
    let (read, reason) = damage(&frame(13 << 3 | 1));
    assert_eq!(read, 0);
    assert!(reason.unwrap().contains("9437184"));
    assert!(damage(&frame(0xFF)).1.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_anywhere_ends_with_an_error_or_with_rows(
        is_zstd: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let text = table(300);
        let mut packed = if is_zstd { zstd(text.as_bytes()) } else { gzip(text.as_bytes()) };
        for (index, byte) in changes {
            let index = index.index(packed.len());
            packed[index] = byte;
        }
        let mut is_over = false;
        if let Ok(mut reader) = open(packed, Limits::default()) {
            for _ in 0..100_000 {
                if !matches!(reader.next(), Ok(Some(_))) {
                    is_over = true;
                    break;
                }
            }
            prop_assert!(is_over);
        }
    }
}
