//! Verification of an adaptive stream as a player reads it: from the master playlist down to each segment.
//!
//! *Problem.* The parts of an adaptive stream can each be valid and not fit together: a playlist with wrong durations,
//! a segment of another rung, an initialization section that is exchanged.
//!
//! *Mechanism.* Every playlist is parsed strictly. The boxes of every section are checked, and the sections of a
//! rendition are demuxed as one concatenated file, so that each packet belongs to the segment that contains its byte
//! position. From sizes, codecs and packet times the expected playlists are computed again; they must equal those
//! found. Each rendition is then measured like a file ([`super::file`]).
//!
//! *Invariants.* The segments of a rendition cover its whole duration, each within the tolerances for rounding and for
//! the duration of its last packet. Alignment and independence of segments are measured, and judged by the worker.

use crate::engine::demux::byte_ranges::{ByteRange, ByteRangeReader, top_level_boxes};
use crate::engine::demux::open;
use crate::engine::demux::packets::next_packet;
use crate::engine::error::{invalid_output, read_failure, unreadable_output};
use crate::engine::mux::segment_boundaries::MILLISECOND_ROUNDING_US;
use crate::engine::mux::segmenter::{Rendition, Segment, codec_string};
use crate::engine::output::hls::master_playlist::{MASTER, MasterPlaylist, Variant, VideoFormat};
use crate::engine::output::hls::media_playlist::{
    AUDIO_STEM, FileRange, MediaPlaylist, SubRange, playlist_file, rung_stem,
};
use crate::engine::paths::output_path;
use crate::engine::time::to_us;
use crate::engine::verify::file::{check_input, count_decode_errors};
use crate::engine::verify::options::VerifyOptions;
use domain::plan::Hls;
use domain::probe::Size;
use domain::protocol::{FileFacts, HlsFacts, VerifyDepth};
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Tolerance for rounding between the time base of the muxer and the microseconds of a playlist.
const ROUNDING_US: u64 = 1_000;

/// Measures an adaptive stream.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] if a playlist or a segment is missing, or if they contradict each other.
pub(crate) fn check_hls(
    scratch: &Path,
    file: &str,
    planned: &Hls,
    options: &VerifyOptions<'_>,
) -> Result<HlsFacts, Failure> {
    let directory = HlsDirectory {
        path: output_path(scratch, file)?,
        options: *options,
    };
    let master: MasterPlaylist = directory.read_playlist(MASTER)?;
    let audio = master
        .channels
        .map(|_| directory.check_rendition(AUDIO_STEM))
        .transpose()?;
    if audio.as_ref().map(CheckedRendition::channels) != master.channels.map(u32::from) {
        return Err(invalid_output(MASTER, "has another number of channels than the audio"));
    }
    if master.language != planned.language.clone().filter(|_| audio.is_some()) {
        return Err(invalid_output(MASTER, "has another language than the plan"));
    }
    let mut rungs = Vec::new();
    for (index, rung) in planned.rungs.iter().enumerate() {
        let found = directory.check_rendition(&rung_stem(rung))?;
        let variant = master
            .variants
            .get(index)
            .ok_or_else(|| invalid_output(MASTER, "has no variant for a rung"))?;
        if *variant != found.variant(audio.as_ref(), variant.millifps) {
            return Err(invalid_output(&variant.uri, "differs from the master playlist"));
        }
        rungs.push(found);
    }
    let all = || rungs.iter().chain(&audio);
    let target_s = all().map(|found| found.target_s).max().unwrap_or(0);
    if all().any(|found| found.target_s != target_s) || master.variants.len() != rungs.len() {
        return Err(invalid_output(
            MASTER,
            "has renditions with different target durations, or too many variants",
        ));
    }
    let segments = || all().flat_map(|found| &found.rendition.segments);
    let first_starts_us = rungs
        .first()
        .map(|found| found.starts_us.as_slice())
        .unwrap_or_default();
    Ok(HlsFacts {
        segments: first_starts_us.len() as u64,
        longest_us: segments().map(|segment| segment.duration_us).max().unwrap_or(0),
        target_us: target_s * 1_000_000,
        aligned: rungs.iter().all(|found| is_aligned(&found.starts_us, first_starts_us)),
        independent: all().all(|found| found.independent),
        audio: audio.as_ref().map(|found| found.facts.clone()),
        rungs: rungs.into_iter().map(|found| found.facts).collect(),
    })
}

/// Returns `true` if two rungs have segments with the same start times. Those of a copied rung may be rounded to
/// milliseconds.
fn is_aligned(first_us: &[u64], other_us: &[u64]) -> bool {
    let mut pairs = first_us.iter().zip(other_us);
    first_us.len() == other_us.len() && pairs.all(|(first, other)| first.abs_diff(*other) <= MILLISECOND_ROUNDING_US)
}

/// The directory of an adaptive stream.
struct HlsDirectory<'a> {
    path: PathBuf,
    options: VerifyOptions<'a>,
}

/// A measured rendition.
struct CheckedRendition {
    rendition: Rendition,
    target_s: u64,
    facts: FileFacts,
    /// Start time of each segment in microseconds.
    starts_us: Vec<u64>,
    /// Set if each segment begins with a keyframe.
    independent: bool,
}

impl CheckedRendition {
    fn channels(&self) -> u32 {
        self.facts.probe.main_audio().map_or(0, |(_, facts)| facts.channels)
    }

    /// Computes the expected variant of the master playlist. The frame rate is not measured here.
    fn variant(&self, audio: Option<&Self>, millifps: u64) -> Variant {
        let size = self.facts.probe.main_video().map(|(_, facts)| Size {
            width_px: facts.width_px,
            height_px: facts.height_px,
        });
        let size = size.unwrap_or(Size {
            width_px: 0,
            height_px: 0,
        });
        let fps = Rational { num: 1, den: 1 };
        Variant {
            millifps,
            ..Variant::of(
                &self.rendition,
                audio.map(|audio| &audio.rendition),
                VideoFormat { size, fps },
                self.target_s,
            )
        }
    }
}

impl HlsDirectory<'_> {
    fn read_playlist<T: FromStr>(&self, file: &str) -> Result<T, Failure> {
        let text = fs::read_to_string(self.path.join(file));
        let text = text.map_err(|error| unreadable_output(file, &error, "is missing"))?;
        text.parse()
            .map_err(|_| invalid_output(file, "is not a valid playlist"))
    }

    /// Measures a rendition, starting from its media playlist.
    fn check_rendition(&self, stem: &str) -> Result<CheckedRendition, Failure> {
        let playlist = playlist_file(stem);
        let media: MediaPlaylist = self.read_playlist(&playlist)?;
        let init = self.section(&media.init, &[*b"ftyp", *b"moov"])?;
        let mut sections = vec![init];
        for segment in &media.segments {
            sections.push(self.section(&segment.location, &[*b"moof", *b"mdat"])?);
        }
        let codec = sections.first().and_then(|init| {
            let bytes = fs::read(&init.path).ok()?;
            codec_string(bytes.get(..usize::try_from(init.bytes).ok()?)?)
        });
        let mut sizes = sections.iter().map(|section| section.bytes);
        let rendition = Rendition {
            stem: stem.to_owned(),
            single_file: media.init.range.is_some(),
            codec: codec.ok_or_else(|| invalid_output(&playlist, "has an unexpected codec"))?,
            init_bytes: sizes.next().unwrap_or(0),
            segments: sizes
                .zip(&media.segments)
                .map(|(bytes, segment)| Segment {
                    bytes,
                    duration_us: segment.duration_us,
                })
                .collect(),
        };
        if MediaPlaylist::of(&rendition, media.target_s) != media {
            return Err(invalid_output(&playlist, "does not match its files"));
        }
        self.check_packets(rendition, media.target_s, &Arc::from(sections))
    }

    /// Finds a section of a playlist, which must consist of exactly the expected top-level boxes.
    fn section(&self, location: &FileRange, expected: &[[u8; 4]]) -> Result<ByteRange, Failure> {
        let path = output_path(&self.path, &location.file)
            .map_err(|_| invalid_output(MASTER, "names a file outside of its directory"))?;
        let metadata = fs::metadata(&path).map_err(|_| invalid_output(&location.file, "is missing"))?;
        let whole_file = SubRange {
            bytes: metadata.len(),
            offset: 0,
        };
        let SubRange { bytes, offset } = location.range.unwrap_or(whole_file);
        let section = ByteRange {
            path,
            from: offset,
            bytes,
        };
        match top_level_boxes(&section) {
            Ok(found) if found == expected => Ok(section),
            _ => Err(invalid_output(&location.file, "is incomplete")),
        }
    }

    /// Compares the packet times of a rendition with its playlist, and measures it like a file.
    fn check_packets(
        &self,
        rendition: Rendition,
        target_s: u64,
        sections: &Arc<[ByteRange]>,
    ) -> Result<CheckedRendition, Failure> {
        let playlist = playlist_file(&rendition.stem);
        let open = |sections: &Arc<[ByteRange]>| {
            open::open_rendition(ByteRangeReader::new(Arc::clone(sections)), self.options.cancel)
                .map_err(|_| invalid_output(&playlist, "cannot be opened"))
        };
        let layout = ByteRangeReader::new(Arc::clone(sections));
        let mut input = open(sections)?;
        open::read_stream_info(&mut input).map_err(|error| read_failure("the headers", error))?;
        let times = self.segment_times(&mut input, &layout)?;
        let mut start_us = 0;
        for (index, (segment, found)) in rendition.segments.iter().zip(&times).enumerate() {
            let end_us = start_us + segment.duration_us;
            // Audio may begin after the video. Its first segment is then longer than its packets.
            let is_late_audio = index == 0 && rendition.stem == AUDIO_STEM && found.start_us < end_us;
            let starts_on_time = is_late_audio || found.start_us.abs_diff(start_us) <= ROUNDING_US;
            // The duration of the last packet of a copied stream is an estimate.
            let ends_on_time = found.end_us.abs_diff(end_us) <= found.max_packet_us + ROUNDING_US;
            if found.packets == 0 || !starts_on_time || !ends_on_time {
                return Err(invalid_output(
                    &rendition.segment_file(index),
                    "has another duration than in its playlist",
                ));
            }
            start_us = end_us;
        }
        let mut facts = check_input(&|| open(sections), layout.len(), &self.options)?;
        // A concatenation of fragments has no index, so the reader of the tail cannot seek. The last segment can be
        // decoded alone instead.
        if let ([init, _, .., last], VerifyDepth::Fast) = (&**sections, self.options.depth) {
            let tail = open(&Arc::from([init.clone(), last.clone()]))?;
            facts.decode_errors += count_decode_errors(tail, self.options.cancel)?;
        }
        Ok(CheckedRendition {
            facts,
            starts_us: times.iter().map(|found| found.start_us).collect(),
            independent: times.iter().all(|found| found.independent),
            rendition,
            target_s,
        })
    }

    /// Reads all packets and assigns them to segments by their byte positions in the concatenation.
    fn segment_times(&self, input: &mut Input, layout: &ByteRangeReader) -> Result<Vec<SegmentTimes>, Failure> {
        let time_base = input.streams().next().map(|stream| stream.time_base());
        let time_base = time_base.ok_or_else(|| invalid_output(MASTER, "has a rendition without a stream"))?;
        // The first range is the initialization section.
        let mut times = vec![SegmentTimes::default(); layout.range_count() - 1];
        while let Some(packet) = next_packet(input, self.options.cancel)? {
            let position = u64::try_from(packet.position()).unwrap_or(0);
            let pts = packet.pts().unwrap_or(i64::MIN);
            let us = |time: i64| u64::try_from(to_us(time, time_base)).unwrap_or(0);
            if let Some(found) = layout
                .range_at(position)
                .checked_sub(1)
                .and_then(|index| times.get_mut(index))
            {
                found.add_packet(packet.is_key(), us(pts), us(pts.saturating_add(packet.duration())));
            }
        }
        Ok(times)
    }
}

/// Times of the packets of a segment, in microseconds.
#[derive(Clone, Debug, Default)]
struct SegmentTimes {
    /// Number of packets.
    packets: u64,
    /// Set if the first packet is a keyframe.
    independent: bool,
    start_us: u64,
    end_us: u64,
    /// Duration of the longest packet.
    max_packet_us: u64,
}

impl SegmentTimes {
    fn add_packet(&mut self, is_key: bool, start_us: u64, end_us: u64) {
        if self.packets == 0 {
            self.independent = is_key;
            self.start_us = start_us;
        }
        self.packets += 1;
        self.start_us = self.start_us.min(start_us);
        self.end_us = self.end_us.max(end_us);
        self.max_packet_us = self.max_packet_us.max(end_us.saturating_sub(start_us));
    }
}
