//! Sources that are encrypted: each kind of container says so in its own way, and none becomes noise.

use crate::clips::{clip, temp_file};
use crate::harness::probe;
use domain::{Code, FailureKind};
use std::path::Path;

fn is_encrypted(path: &Path, what: &str) {
    let failure = probe(path).expect_err(what);
    let expected = (FailureKind::Input, Code::SourceEncrypted);
    assert_eq!((failure.kind, failure.code), expected, "{what}: {failure}");
}

const KEYS: &str = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
    -encryption_kid a7e61c373e219033c21091fa607bf3b8";
const FILM: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -preset ultrafast";

/// Replaces every mark by another of the same length.
fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
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
    let both = clip("cenc.mp4", &format!("{FILM} -c:a aac {KEYS}"));
    is_encrypted(&both, "cenc");
    let audio = clip("cenc.m4a", &format!("-f lavfi -i sine=d=1 -c:a aac {KEYS}"));
    is_encrypted(&audio, "sound alone");
    let bytes = std::fs::read(&both).unwrap();
    for scheme in [b"cbcs", b"cens", b"cbc1"] {
        let (_folder, path) = temp_file("scheme.mp4", &renamed(&bytes, b"cenc", scheme));
        is_encrypted(&path, std::str::from_utf8(scheme).unwrap());
    }
    // Clear pictures, encrypted sound.
    let (_folder, path) = temp_file("sound-only.mp4", &renamed(&bytes, b"encv", b"avc1"));
    is_encrypted(&path, "sound beside clear pictures");
    let (_folder, path) = temp_file("pictures-only.mp4", &renamed(&bytes, b"enca", b"mp4a"));
    is_encrypted(&path, "pictures beside clear sound");
    let fragments = clip(
        "cenc-fragments.mp4",
        &format!("{FILM} -c:a aac {KEYS} -movflags +frag_keyframe+empty_moov"),
    );
    is_encrypted(&fragments, "fragments");
}

/// Adds `ContentEncodings` with an encryption to the first track of a file whose tracks have sizes of eight bytes.
fn matroska_encryption(bytes: &[u8], with_key: bool) -> Vec<u8> {
    let find = |from: usize, mark: &[u8]| (from..bytes.len()).find(|at| bytes[*at..].starts_with(mark)).unwrap();
    // The first place only refers to it.
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
    // ContentEncryption with the algorithm AES, and a key's name.
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
    // Written to a pipe the segment has no size, so that what is added needs no more care.
    let film = clip(
        "open.webm",
        "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -c:v libvpx -deadline realtime -live 1",
    );
    assert!(probe(&film).is_ok());
    let bytes = std::fs::read(&film).unwrap();
    for with_key in [true, false] {
        let (_folder, path) = temp_file("locked.webm", &matroska_encryption(&bytes, with_key));
        is_encrypted(&path, "WebM");
    }
}

#[test]
fn scrambled_transport_streams_and_protected_asf_are_reported() {
    let stream = clip("open.ts", &format!("{FILM} -c:a aac"));
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
    is_encrypted(&path, "all streams");
    let (_folder, path) = temp_file("sound.ts", &scrambled(Some(0x101)));
    is_encrypted(&path, "the sound alone");
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
    is_encrypted(&path, "ASF");
}

#[test]
fn clear_files_are_not_reported_as_encrypted() {
    for name in ["clear.mp4", "clear.mkv", "clear.ts"] {
        assert!(probe(&clip(name, &format!("{FILM} -c:a aac"))).is_ok(), "{name}");
    }
}
