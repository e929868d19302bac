//! Reads HLS outputs as a player does, starting at the master playlist.

use crate::clips::frame_number;
use crate::harness::{Run, decode, decode_luma, process, recipe};
use domain::probe::Size;
use domain::protocol::{HlsFacts, OutputFacts};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs a recipe with one HLS output; `settings` is the JSON of the output after its kind.
pub(crate) fn process_hls(source: &Path, settings: &str) -> Run {
    process(
        source,
        &recipe(&format!(r#"{{"outputs":[{{"kind":"hls",{settings}}}]}}"#)),
    )
    .unwrap()
}

/// The directory of the output.
pub(crate) fn folder(run: &Run) -> PathBuf {
    run.path(0)
}

/// Reads a text file of the output.
pub(crate) fn read_file(run: &Run, file: &str) -> String {
    fs::read_to_string(folder(run).join(file)).unwrap()
}

/// The verification of the output.
pub(crate) fn checked(run: &Run) -> &HlsFacts {
    let OutputFacts::Hls(checked) = &run.checked[0] else {
        panic!("no HLS output: {:?}", run.checked)
    };
    checked
}

/// The values of a tag or attribute in a playlist, in order. `key` ends with `=`, `:`, or `="` for quoted values.
pub(crate) fn attribute_values(playlist: &str, key: &str) -> Vec<String> {
    let ends: &[char] = if key.ends_with('"') { &['"'] } else { &[',', '\n'] };
    let found = playlist.split(key).skip(1);
    found.map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

/// The durations of the segments in a media playlist, in microseconds.
pub(crate) fn segment_durations_us(playlist: &str) -> Vec<u64> {
    let durations = attribute_values(playlist, "#EXTINF:").into_iter();
    durations
        // Seconds with six decimals.
        .map(|seconds| seconds.replace('.', "").parse().unwrap())
        .collect()
}

/// The start times of the segments of a rendition, in microseconds.
pub(crate) fn segment_starts_us(run: &Run, rendition: &str) -> Vec<u64> {
    let durations = segment_durations_us(&read_file(run, &format!("{rendition}.m3u8"))).into_iter();
    durations
        .scan(0, |end, duration| {
            let start = *end;
            *end += duration;
            Some(start)
        })
        .collect()
}

/// Bit rates of a rendition, computed from playlist and file sizes (RFC 8216 §4.3.4.2).
pub(crate) struct Bitrates {
    /// `BANDWIDTH`: the highest bit rate of any run of segments that lasts 0.5 to 1.5 target durations.
    pub(crate) peak_bps: u64,
    /// `AVERAGE-BANDWIDTH`: the bit rate of all segments.
    pub(crate) average_bps: u64,
}

/// Computes the bit rates of a rendition.
pub(crate) fn bitrates(run: &Run, rendition: &str) -> Bitrates {
    let durations = segment_durations_us(&read_file(run, &format!("{rendition}.m3u8")));
    let sizes = (1..=durations.len()).map(|n| {
        fs::metadata(folder(run).join(format!("{rendition}-{n:04}.m4s")))
            .unwrap()
            .len()
    });
    let sizes: Vec<_> = sizes.collect();
    let rate_bps = |bytes: u64, us: u64| (bytes * 8_000_000).div_ceil(us);
    let ranges = (0..sizes.len()).flat_map(|from| (from + 1..=sizes.len()).map(move |to| from..to));
    let ranges = ranges.map(|range| (sizes[range.clone()].iter().sum(), durations[range].iter().sum()));
    let target_us = checked(run).target_us;
    let ranges = ranges.filter(|(_, us)| (target_us / 2..=target_us * 3 / 2).contains(us));
    Bitrates {
        peak_bps: ranges.map(|(bytes, us)| rate_bps(bytes, us)).max().unwrap(),
        average_bps: rate_bps(sizes.iter().sum(), durations.iter().sum()),
    }
}

/// The luma plane of every frame of a rung, decoded through the master playlist.
pub(crate) fn luma(run: &Run, rung: usize) -> Vec<Vec<u8>> {
    // The master playlist lists the smallest rung first, the plan lists it last.
    let map = format!("0:v:{}", checked(run).rungs.len() - 1 - rung);
    luma_of(run, rung, &folder(run).join("master.m3u8"), &map)
}

/// The number in every frame of a square rung.
pub(crate) fn numbers(run: &Run, rung: usize) -> Vec<usize> {
    luma(run, rung).iter().map(|frame| number(frame)).collect()
}

/// The number in every frame of one segment of a square rung. The segment is decoded without the others, so it must
/// begin with a keyframe. `rendition` is the name of the rung in file names; segments count from 1.
pub(crate) fn numbers_of_segment(run: &Run, rung: usize, rendition: &str, segment: usize) -> Vec<usize> {
    let read = |file: String| fs::read(folder(run).join(file)).unwrap();
    let init_and_segment = [
        read(format!("{rendition}-init.mp4")),
        read(format!("{rendition}-{segment:04}.m4s")),
    ];
    let path = run.scratch.path().join("segment.mp4");
    fs::write(&path, init_and_segment.concat()).unwrap();
    luma_of(run, rung, &path, "0:v:0")
        .iter()
        .map(|frame| number(frame))
        .collect()
}

fn number(frame: &[u8]) -> usize {
    let side = frame.len().isqrt();
    frame_number(frame, side, side)
}

fn luma_of(run: &Run, rung: usize, path: &Path, map: &str) -> Vec<Vec<u8>> {
    let facts = checked(run).rungs[rung].probe.main_video().unwrap().1;
    let size = Size {
        width_px: facts.width_px,
        height_px: facts.height_px,
    };
    decode_luma(path, map, size)
}

/// The time of the beep of [`crate::clips::flash_and_beep`], in milliseconds.
pub(crate) fn beep_ms(run: &Run) -> usize {
    let raw = decode(
        &folder(run).join("master.m3u8"),
        &[
            "-map",
            "0:a:0",
            "-copyts",
            "-f",
            "f32le",
            // Samples before 0 are the priming of the encoder.
            "-af",
            "aresample=first_pts=0,pan=mono|c0=c0",
        ],
    );
    let mut samples = raw
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    samples.position(|sample| sample.abs() > 0.1).unwrap() / 48
}

/// Asserts that each audio segment starts with the video segment of the rendition, or up to one AAC packet (21.3 ms)
/// later.
pub(crate) fn assert_audio_segments_aligned(run: &Run, rendition: &str) {
    let (video, audio) = (segment_starts_us(run, rendition), segment_starts_us(run, "audio"));
    assert_eq!(video.len(), audio.len());
    for (video_us, audio_us) in video.iter().zip(&audio) {
        assert!(
            (*video_us..video_us + 21_334).contains(audio_us),
            "{audio_us} for {video_us}"
        );
    }
}
