//! Adaptive streams, read as a player reads them: by the master playlist.

use crate::clips::frame_number;
use crate::harness::{Run, decode, process, recipe};
use domain::protocol::{Checked, CheckedHls};
use std::fs;
use std::path::{Path, PathBuf};

/// Makes a stream and verifies it; `wish` is the output's JSON after its kind.
pub(crate) fn stream(source: &Path, settings: &str) -> Run {
    process(
        source,
        &recipe(&format!(r#"{{"outputs":[{{"kind":"hls",{settings}}}]}}"#)),
    )
    .unwrap()
}

pub(crate) fn folder(run: &Run) -> PathBuf {
    run.scratch.path().join(&run.plan.outputs[0].file)
}

pub(crate) fn text(run: &Run, file: &str) -> String {
    fs::read_to_string(folder(run).join(file)).unwrap()
}

pub(crate) fn checked(run: &Run) -> &CheckedHls {
    let Checked::Hls(checked) = &run.checked[0] else {
        panic!("no stream: {:?}", run.checked)
    };
    checked
}

/// The values of an attribute in a playlist, in order.
pub(crate) fn values(playlist: &str, key: &str) -> Vec<String> {
    let ends: &[char] = if key.ends_with('"') { &['"'] } else { &[',', '\n'] };
    let found = playlist.split(key).skip(1);
    found.map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

/// The lengths of the segments of a playlist, in microseconds.
pub(crate) fn lengths_us(playlist: &str) -> Vec<u64> {
    let lengths = values(playlist, "#EXTINF:").into_iter();
    lengths
        .map(|seconds| seconds.replace('.', "").parse().unwrap())
        .collect()
}

/// When the segments of a rendition begin, in microseconds.
pub(crate) fn begins_us(run: &Run, stem: &str) -> Vec<u64> {
    let lengths = lengths_us(&text(run, &format!("{stem}.m3u8"))).into_iter();
    lengths
        .scan(0, |end, length| {
            let begin = *end;
            *end += length;
            Some(begin)
        })
        .collect()
}

/// The highest rate of about a segment and that of all, in bits per second: by the lengths in the playlist and the
/// sizes of the files.
pub(crate) fn rates_bps(run: &Run, stem: &str) -> (u64, u64) {
    let lengths = lengths_us(&text(run, &format!("{stem}.m3u8")));
    let sizes = (1..=lengths.len()).map(|n| {
        fs::metadata(folder(run).join(format!("{stem}-{n:04}.m4s")))
            .unwrap()
            .len()
    });
    let sizes: Vec<_> = sizes.collect();
    let rate = |bytes: u64, us: u64| (bytes * 8_000_000).div_ceil(us);
    let ranges = (0..sizes.len()).flat_map(|from| (from + 1..=sizes.len()).map(move |to| from..to));
    let ranges = ranges.map(|range| (sizes[range.clone()].iter().sum(), lengths[range].iter().sum()));
    // From half the target to one and a half.
    let target_us = checked(run).target_us;
    let ranges = ranges.filter(|(_, us)| (target_us / 2..=target_us * 3 / 2).contains(us));
    let peak = ranges.map(|(bytes, us)| rate(bytes, us)).max().unwrap();
    (peak, rate(sizes.iter().sum(), lengths.iter().sum()))
}

/// The luma of every picture of a rung, as a player that stays on it shows them.
pub(crate) fn luma(run: &Run, rung: usize) -> Vec<Vec<u8>> {
    // The playlist names the smallest rung first.
    let map = format!("0:v:{}", checked(run).rungs.len() - 1 - rung);
    luma_of(run, rung, &folder(run).join("master.m3u8"), &map)
}

/// The number in every picture of a square rung.
pub(crate) fn numbers(run: &Run, rung: usize) -> Vec<usize> {
    luma(run, rung).iter().map(|picture| number(picture)).collect()
}

/// The number in every picture of a segment of a square rung, decoded without all others.
pub(crate) fn numbers_of_segment(run: &Run, (rung, stem): (usize, &str), segment: usize) -> Vec<usize> {
    let read = |file: String| fs::read(folder(run).join(file)).unwrap();
    let alone = [
        read(format!("{stem}-init.mp4")),
        read(format!("{stem}-{segment:04}.m4s")),
    ];
    let path = run.scratch.path().join("alone.mp4");
    fs::write(&path, alone.concat()).unwrap();
    luma_of(run, rung, &path, "0:v:0")
        .iter()
        .map(|picture| number(picture))
        .collect()
}

fn number(picture: &[u8]) -> usize {
    frame_number(picture, picture.len().isqrt(), picture.len().isqrt())
}

fn luma_of(run: &Run, rung: usize, path: &Path, map: &str) -> Vec<Vec<u8>> {
    let facts = checked(run).rungs[rung].probe.main_video().unwrap().1;
    let (width, height) = (facts.width_px as usize, facts.height_px as usize);
    let arguments = [
        "-map",
        map,
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
    ];
    let raw = decode(path, &arguments);
    let pictures = raw.chunks(width * height * 3 / 2);
    pictures.map(|picture| picture[..width * height].to_vec()).collect()
}

/// When the beep of [`crate::clips::flash_and_beep`] is heard, in milliseconds.
pub(crate) fn beep_ms(run: &Run) -> usize {
    let raw = decode(
        &folder(run).join("master.m3u8"),
        &[
            "-map",
            "0:a:0",
            "-copyts",
            "-f",
            "f32le",
            // What lies before 0 is the run-up of the encoder.
            "-af",
            "aresample=first_pts=0,pan=mono|c0=c0",
        ],
    );
    let mut samples = raw
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    samples.position(|sample| sample.abs() > 0.1).unwrap() / 48
}

/// A packet of sound is in the segment in which it begins: whether that holds of every segment.
pub(crate) fn assert_in_step(run: &Run, stem: &str) {
    let (pictures, sound) = (begins_us(run, stem), begins_us(run, "audio"));
    assert_eq!(pictures.len(), sound.len());
    for (picture, sound) in pictures.iter().zip(&sound) {
        assert!((*picture..picture + 21_334).contains(sound), "{sound} for {picture}");
    }
}
