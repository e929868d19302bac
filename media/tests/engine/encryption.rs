//! Encrypted sources: MP4 (Common Encryption), Matroska, transport streams and ASF are reported as encrypted.

use crate::clips::{clip, temp_file};
use crate::harness::probe;
use domain::Code;
use std::path::Path;

/// Asserts that the probe reports the file as encrypted.
fn assert_encrypted(path: &Path, case: &str) {
    let failure = probe(path).expect_err(case);
    assert_eq!(failure.code, Code::SourceEncrypted, "{case}: {failure}");
}

/// Options of the MP4 muxer for Common Encryption (ISO/IEC 23001-7).
const CENC: &str = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
    -encryption_kid a7e61c373e219033c21091fa607bf3b8";
const SOURCE: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -preset ultrafast";

/// Replaces all occurrences of `from` with `to`, which has the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let positions: Vec<_> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!positions.is_empty());
    positions
        .iter()
        .for_each(|at| bytes[*at..*at + to.len()].copy_from_slice(to));
    bytes
}

#[test]
fn encrypted_mp4_tracks_are_reported_for_every_scheme() {
    let both = clip("cenc.mp4", &format!("{SOURCE} -c:a aac {CENC}"));
    assert_encrypted(&both, "cenc");
    let audio = clip("cenc.m4a", &format!("-f lavfi -i sine=d=1 -c:a aac {CENC}"));
    assert_encrypted(&audio, "audio file");
    let bytes = std::fs::read(&both).unwrap();
    for scheme in [b"cbcs", b"cens", b"cbc1"] {
        let (_folder, path) = temp_file("scheme.mp4", &replaced(&bytes, b"cenc", scheme));
        assert_encrypted(&path, std::str::from_utf8(scheme).unwrap());
    }
    // Only one of the tracks is encrypted.
    let (_folder, path) = temp_file("audio-only.mp4", &replaced(&bytes, b"encv", b"avc1"));
    assert_encrypted(&path, "encrypted audio beside clear video");
    let (_folder, path) = temp_file("video-only.mp4", &replaced(&bytes, b"enca", b"mp4a"));
    assert_encrypted(&path, "encrypted video beside clear audio");
    let fragments = clip(
        "cenc-fragments.mp4",
        &format!("{SOURCE} -c:a aac {CENC} -movflags +frag_keyframe+empty_moov"),
    );
    assert_encrypted(&fragments, "fragments");
}

/// Adds `ContentEncodings` with a `ContentEncryption` to the first track of a Matroska file (RFC 9559 §5.1.4.1.31). The
/// segment must have an unknown size.
fn with_content_encryption(bytes: &[u8], with_key: bool) -> Vec<u8> {
    let find = |from: usize, id: &[u8]| (from..bytes.len()).find(|at| bytes[*at..].starts_with(id)).unwrap();
    // The first occurrence of the id is a reference in `SeekHead`.
    let tracks = find(find(0, &[0x16, 0x54, 0xae, 0x6b]) + 4, &[0x16, 0x54, 0xae, 0x6b]);
    let width = |at: usize| bytes[at].leading_zeros() as usize + 1;
    let size = |at: usize| {
        let mut value = usize::from(bytes[at]) & ((1 << (8 - width(at))) - 1);
        for byte in &bytes[at + 1..at + width(at)] {
            value = value << 8 | usize::from(*byte);
        }
        value
    };
    let entry = tracks + 4 + width(tracks + 4);
    assert_eq!(bytes[entry], 0xae);
    let end = entry + 1 + width(entry + 1) + size(entry + 1);
    // `ContentEncryption` with `ContentEncAlgo` AES, with or without a `ContentEncKeyID`.
    let encryption: &[u8] = if with_key {
        &[0x50, 0x35, 0x88, 0x47, 0xe1, 0x81, 5, 0x47, 0xe2, 0x81, 7]
    } else {
        &[0x50, 0x35, 0x84, 0x47, 0xe1, 0x81, 5]
    };
    let inner = [&[0x50, 0x33, 0x81, 1][..], encryption].concat();
    let encoding = [&[0x62, 0x40, 0x80 | u8::try_from(inner.len()).unwrap()][..], &inner].concat();
    let all = [
        &[0x6d, 0x80, 0x80 | u8::try_from(encoding.len()).unwrap()][..],
        &encoding,
    ]
    .concat();
    let mut out = bytes.to_vec();
    out.splice(end..end, all.iter().copied());
    for at in [entry + 1, tracks + 4] {
        let (wide, value) = (width(at), size(at) + all.len());
        let vint = (1_u64 << (7 * wide) | value as u64).to_be_bytes();
        out[at..at + wide].copy_from_slice(&vint[8 - wide..]);
    }
    out
}

#[test]
fn encrypted_matroska_tracks_are_reported() {
    // `-live` writes a segment of unknown size, so only the sizes of `Tracks` and `TrackEntry` change.
    let source = clip(
        "open.webm",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -c:v libvpx -deadline realtime -live 1",
    );
    assert!(probe(&source).is_ok());
    let bytes = std::fs::read(&source).unwrap();
    for with_key in [true, false] {
        let (_folder, path) = temp_file("locked.webm", &with_content_encryption(&bytes, with_key));
        assert_encrypted(&path, "WebM");
    }
}

#[test]
fn scrambled_transport_streams_and_protected_asf_are_reported() {
    let stream = clip("open.ts", &format!("{SOURCE} -c:a aac"));
    let bytes = std::fs::read(&stream).unwrap();
    let scrambled = |only: Option<u16>| -> Vec<u8> {
        let mut bytes = bytes.clone();
        for packet in bytes.chunks_exact_mut(188) {
            let id = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            if (0x100..0x1000).contains(&id) && only.is_none_or(|only| only == id) {
                packet[3] |= 0x80;
            }
        }
        bytes
    };
    let (_folder, path) = temp_file("all.ts", &scrambled(None));
    assert_encrypted(&path, "all streams");
    let (_folder, path) = temp_file("audio.ts", &scrambled(Some(0x101)));
    assert_encrypted(&path, "only the audio");
    let protected = clip("open.asf", "-f lavfi -i sine=d=1 -c:a wmav2");
    let mut bytes = std::fs::read(&protected).unwrap();
    let count = u32::from_le_bytes(bytes[24..28].try_into().unwrap()) + 1;
    let mut object = b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e".to_vec();
    object.extend([40_u64.to_le_bytes(), [0; 8], [0; 8]].concat());
    object.truncate(40);
    let length = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + 40;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    bytes[24..28].copy_from_slice(&count.to_le_bytes());
    bytes.splice(30..30, object);
    let (_folder, path) = temp_file("locked.asf", &bytes);
    assert_encrypted(&path, "ASF");
}

#[test]
fn clear_files_are_not_reported_as_encrypted() {
    for name in ["clear.mp4", "clear.mkv", "clear.ts"] {
        assert!(probe(&clip(name, &format!("{SOURCE} -c:a aac"))).is_ok(), "{name}");
    }
}
