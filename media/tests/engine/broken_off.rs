//! Files that end early or have a break in formats that FFmpeg reads up to there without an error.

use crate::clips::{clip, temp_file};
use crate::gaps::loss_details;
use crate::harness::{process, recipe};
use std::fs;

const MP4: &str = r#"{"outputs":[{"kind":"mp4"}]}"#;
const AUDIO: &str = r#"{"outputs":[{"kind":"audio"}]}"#;

fn details(name: &str, bytes: &[u8], json: &str) -> Vec<String> {
    let (_folder, path) = temp_file(name, bytes);
    let run = process(&path, &recipe(json)).unwrap();
    loss_details(&run).into_iter().map(str::to_owned).collect()
}

/// A copy of a WAV whose `data` chunk has another size in its header.
fn with_data_size(wav: &[u8], size: u32) -> Vec<u8> {
    let mut bytes = wav.to_vec();
    let data = bytes.windows(4).position(|window| window == b"data").unwrap();
    bytes[data + 4..data + 8].copy_from_slice(&size.to_le_bytes());
    bytes
}

#[test]
fn a_wav_that_is_shorter_than_its_header_says_is_reported() {
    for format in ["-c:a pcm_s16le", "-c:a pcm_s24le -rf64 always", "-c:a adpcm_ima_wav"] {
        let source = clip(
            "tone.wav",
            &format!("-f lavfi -i sine=440:d=8:r=48000 -ac 2 {format} -f wav"),
        );
        let bytes = fs::read(&source).unwrap();
        assert_eq!(details("whole.wav", &bytes, AUDIO), [""; 0], "{format}");
        let tenth = bytes.len() / 10;
        let without_tenth = [&bytes[..4 * tenth], &bytes[5 * tenth..]].concat();
        for (damaged, least_s) in [(bytes[..6 * tenth].to_vec(), 3.2), (without_tenth, 0.8)] {
            let found = details("short.wav", &damaged, AUDIO);
            let [detail] = &found[..] else {
                panic!("{format}: {found:?}")
            };
            // Which samples are missing is not known.
            let is_placed = detail.contains("first at");
            assert!(!is_placed || format.contains("adpcm"), "{format}: {detail}");
            let lost = detail.split(' ').next().unwrap().parse::<f64>().unwrap() / 1_000.0;
            // Blocks of ADPCM that are cut do not decode.
            let most_s = if format.contains("adpcm") { 6.0 } else { least_s + 0.15 };
            assert!((least_s - 0.15..most_s).contains(&lost), "{format}: {lost}");
        }
    }
}

#[test]
fn a_streamed_wav_without_a_size_is_not_reported() {
    let source = clip("tone.wav", "-f lavfi -i sine=440:d=2:r=48000 -c:a pcm_s16le -f wav");
    let bytes = fs::read(source).unwrap();
    for size in [0, u32::MAX, u32::MAX - 44, 0x7fff_ffff, 0x7fff_f000, 0x8000_0000] {
        assert_eq!(
            details("streamed.wav", &with_data_size(&bytes, size), AUDIO),
            [""; 0],
            "{size:x}"
        );
    }
}

/// A chunk of a RIFF file.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap().to_le_bytes();
    [&name[..], &size, data, &vec![0; data.len() % 2]].concat()
}

#[test]
fn bytes_behind_the_samples_of_a_wav_are_reported_unless_they_are_chunks() {
    for options in ["", "-rf64 always"] {
        let arguments = format!("-f lavfi -i sine=440:d=8:r=48000 -ac 2 -c:a pcm_s16le {options} -bitexact -f wav");
        let bytes = fs::read(clip("trailing.wav", &arguments)).unwrap();
        let data = bytes.windows(4).position(|window| window == b"data").unwrap() + 8;
        let half = bytes.len() / 2 / 4 * 4;
        let size = u32::try_from(half - data).unwrap();
        let mut short = with_data_size(&bytes, size);
        if !options.is_empty() {
            let wide = bytes.windows(4).position(|window| window == b"ds64").unwrap() + 16;
            short[wide..wide + 8].copy_from_slice(&u64::from(size).to_le_bytes());
        }
        let unread = |count: usize| format!("the last {count} bytes of the file were not read");
        let list = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0\0");
        let tags = [list, chunk(b"id3 ", &[7; 5_001]), chunk(b"bext", &[1; 602])].concat();
        let cases = [
            ("size", short.clone(), Some(bytes.len() - half)),
            (
                "size-tags",
                [&short[..], &tags].concat(),
                Some(bytes.len() - half + tags.len()),
            ),
            (
                "tags-size",
                [&short[..half], &tags, &short[half..]].concat(),
                Some(bytes.len() - half),
            ),
            ("joined", [&bytes[..], &bytes].concat(), Some(bytes.len())),
            ("tags", [&bytes[..], &tags].concat(), None),
            ("zeros", [&bytes[..], &[0; 20_000]].concat(), None),
            ("tag", [&bytes[..], &[b'T'; 128]].concat(), None),
        ];
        for (name, bytes, expected) in cases {
            let found = details("trailing.wav", &bytes, AUDIO);
            assert_eq!(
                found,
                expected.map(unread).into_iter().collect::<Vec<_>>(),
                "{name} {options}"
            );
        }
    }
}

#[test]
fn a_gif_without_the_data_between_two_blocks_is_reported() {
    let source = clip("large.gif", "-f lavfi -i testsrc2=s=320x240:r=10:d=3 -f gif");
    let gif = fs::read(source).unwrap();
    let controls = gif
        .windows(3)
        .enumerate()
        .filter(|(_, block)| *block == b"\x21\xf9\x04");
    let controls: Vec<_> = controls.map(|(at, _)| at).collect();
    // A data block in the image after a control block: after a descriptor of ten bytes, a color table and a byte.
    let data_block = |control: usize, number: usize| {
        let descriptor = control + 8;
        let flags = gif[descriptor + 9];
        let table = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
        descriptor + 11 + table + 256 * number
    };
    let (from, to) = (data_block(controls[5], 1), data_block(controls[9], 2));
    assert!(gif[from] == 255 && gif[to] == 255, "full blocks");
    let found = details("hole.gif", &[&gif[..from], &gif[to..]].concat(), MP4);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("is not known"), "{found:?}");
    assert_eq!(details("large.gif", &gif, MP4), [""; 0]);
}

#[test]
fn an_animation_that_breaks_off_is_reported() {
    let frames = "-f lavfi -i testsrc2=s=64x64:r=10:d=3";
    let gif = fs::read(clip("whole.gif", &format!("{frames} -f gif"))).unwrap();
    let apng = fs::read(clip("whole.apng", &format!("{frames} -plays 0 -f apng"))).unwrap();
    let zeros = {
        let (mut bytes, middle) = (gif.clone(), gif.len() / 2);
        bytes[middle..middle + 300].fill(0);
        bytes
    };
    // Frames without a delay last 100 ms, like the others.
    let no_delays = {
        let mut bytes = apng.clone();
        let controls: Vec<_> = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, name)| name == b"fcTL")
            .map(|(at, _)| at)
            .collect();
        for at in controls {
            bytes[at + 24..at + 28].fill(0);
        }
        bytes
    };
    for (name, damaged) in [
        ("zeros.gif", &zeros[..]),
        ("cut.apng", &apng[..apng.len() / 2]),
        ("cut-without-delays.apng", &no_delays[..apng.len() / 2]),
    ] {
        let found = details(name, damaged, MP4);
        let [detail] = &found[..] else {
            panic!("{name}: {found:?}")
        };
        let lost_ms: u32 = detail.split(' ').next().unwrap().parse().unwrap();
        assert!((1_200..1_900).contains(&lost_ms), "{name}: {detail}");
    }
    for (name, bytes) in [
        ("cut.gif", &gif[..gif.len() / 2]),
        ("last-frame.apng", &apng[..apng.len() - 40]),
    ] {
        let cut = details(name, bytes, MP4);
        assert_eq!(cut.len(), 1, "{name}: {cut:?}");
        assert!(cut[0].contains("is not known"), "{name}: {cut:?}");
    }
    // Some writers leave the end mark out.
    for (name, whole) in [
        ("whole.gif", &gif[..]),
        ("no-trailer.gif", &gif[..gif.len() - 1]),
        ("whole.apng", &apng[..]),
    ] {
        assert_eq!(details(name, whole, MP4), [""; 0], "{name}");
    }
}
