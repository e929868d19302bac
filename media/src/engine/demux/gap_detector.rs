//! Detection of packets that a file has lost, by gaps in the timestamps around them.
//!
//! *Problem.* A demuxer skips bytes that are missing in the middle of a file without an error. A copy of such a source
//! has a hole: players stop or lose sync there. A gap in the timestamps alone does not prove a loss. A frame may be
//! shown for an hour, a recorder may be paused, and some audio encoders send nothing during silence. A false positive
//! costs a needless encode, so each gap needs evidence.
//!
//! *Mechanism.* One video and one audio stream are watched. [`StreamGaps`] reports gaps that are long compared with the
//! packets before. The latest gap of each stream is kept until the other stream has passed the same position of the
//! file, or until the next gap. Then it is counted as a hole or dropped.
//!
//! *Evidence.* A gap is a hole
//! - in audio, if the codec sends packets continuously and video continues;
//! - in audio and video, if both have a gap of about the same length at the same position of the file, and the audio
//!   codec sends packets continuously, packets near the gap are damaged, bytes are missing there, the file is shorter
//!   than its segment, or both gaps are long and equal: a pause of the codec does not make the video pause;
//! - in video, if packets near it do not decode or bytes are missing there; if audio continues, only up to
//!   [`MAX_FORWARD_US`];
//! - above [`MAX_FORWARD_US`], where the step is also a timestamp discontinuity: in Ogg and FLV if page numbers or tag
//!   sizes show that bytes are missing; elsewhere if video continues without a keyframe and the gap is at most twice as
//!   long as the stream before it.
//!
//! *Missing bytes.* Elements of a Matroska file do not lead over the gap, page sequence numbers of Ogg or fragment
//! sequence numbers of MP4 are missing, or the chain of boxes is broken there ([`fragments`]).
//!
//! *Exception.* A sample table (`stbl`, ISO/IEC 14496-12 §8.5) lists every sample, so no packet of such a file can be
//! lost: only audio may have a gap there.
//!
//! *Rejected.* A limit on the length of gaps alone: slide shows and paused recordings exceed any limit.

mod missing_bytes;
mod stream_gaps;

use crate::engine::demux::container::{is_cover_art, is_matroska, is_mp4};
use crate::engine::demux::discontinuity::MAX_FORWARD_US;
use crate::engine::demux::gap_detector::stream_gaps::{
    DAMAGE_DISTANCE_US, ForwardStep, Gap, MIN_DISCONTINUOUS_GAP_US, StreamGaps,
};
use crate::engine::demux::{fragments, matroska, matroska_chain};
use crate::engine::time::to_us;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Packet, Rational};
use std::fs::File;
use std::ops::Range;

/// Minimum part of a hole inside the watched time range that counts, in microseconds.
const MIN_PART_US: i64 = 50_000;

/// Total duration of holes and position of the first one, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HoleTotal {
    pub(crate) length_us: i64,
    /// Timestamp of the source after discontinuities were repaired.
    pub(crate) at_us: Option<i64>,
}

impl HoleTotal {
    pub(crate) fn add(&mut self, length_us: i64, at_us: i64) {
        self.length_us = self.length_us.saturating_add(length_us);
        self.at_us = Some(self.at_us.map_or(at_us, |first| first.min(at_us)));
    }
}

/// Holes in a time range: those in all streams, and those in audio while video continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holes {
    pub(crate) all: HoleTotal,
    pub(crate) audio: HoleTotal,
}

/// Containers by the evidence that they offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ogg,
    Flv,
    Matroska,
    /// An index lists all packets ([`is_indexed`]).
    Indexed,
    Other,
}

impl Format {
    fn of(input: &Input, source: &File, streams: [Option<usize>; 2]) -> Self {
        let indexed = |index: usize| is_indexed(input, source, index);
        match input.format().name() {
            "ogg" => Self::Ogg,
            "flv" => Self::Flv,
            name if is_matroska(name) => Self::Matroska,
            _ if streams.into_iter().flatten().any(indexed) => Self::Indexed,
            _ => Self::Other,
        }
    }
}

/// Detects holes while the packets of a source are read in file order.
#[derive(Debug)]
pub(crate) struct GapDetector {
    video: Option<StreamGaps>,
    audio: Option<StreamGaps>,
    format: Format,
    /// The file, for evidence of missing bytes; `None` if its descriptor could not be duplicated.
    source: Option<File>,
    /// Offsets in a fragmented MP4 before which bytes are missing.
    breaks: Vec<u64>,
    /// `true` if a Matroska segment extends beyond the end of the file, so that bytes are missing somewhere.
    is_short: bool,
    /// Time range in which holes count.
    span_us: Range<i64>,
    /// Number of packets so far.
    packets: u64,
    found: Holes,
}

impl GapDetector {
    /// Watches one video and one audio stream of an open source. Holes count inside `span_us`, which is in timestamps
    /// of the source. `breaks` are the offsets in a fragmented MP4 before which bytes are missing.
    pub(crate) fn new(
        input: &Input,
        source: &File,
        [video, audio]: [Option<usize>; 2],
        span_us: Range<i64>,
        breaks: &[u64],
    ) -> Self {
        let stream = |index: Option<usize>| StreamGaps::of(input, index?);
        let format = Format::of(input, source, [video, audio]);
        Self {
            video: stream(video),
            audio: stream(audio),
            format,
            source: source.try_clone().ok(),
            breaks: breaks.to_vec(),
            is_short: format == Format::Matroska && matroska::is_cut(source),
            span_us,
            packets: 0,
            found: Holes::default(),
        }
    }

    /// The time base of a watched stream.
    pub(crate) fn base(&self, stream: usize) -> Option<Rational> {
        let mut gaps = [&self.video, &self.audio].into_iter().flatten();
        gaps.find(|gaps| gaps.index == stream).map(|gaps| gaps.base)
    }

    /// Records a packet. `original` is its DTS, or PTS if it has none, before discontinuities were repaired.
    pub(crate) fn record_packet(&mut self, packet: &Packet, original: Option<i64>) {
        self.packets += 1;
        let (number, is_key) = (self.packets, packet.is_key() && !packet.is_corrupt());
        let index = packet.stream();
        let is_its_stream = |stream: &&mut StreamGaps| stream.index == index;
        if let Some(stream) = self.video.as_mut().filter(is_its_stream) {
            let original_us = original.map(|timestamp| to_us(timestamp, stream.base));
            let (gap, step) = stream.record_packet(packet, original_us, number);
            self.add_discontinuity(step.filter(|step| self.is_hole(step, !is_key)), packet);
            if let Some(mut gap) = gap {
                gap.lacks_bytes = self.is_chain_broken(&gap);
                let previous = self.video.as_mut().and_then(|stream| stream.gap.replace(gap));
                self.settle_video(previous);
                self.join_gaps();
            }
        } else if let Some(stream) = self.audio.as_mut().filter(is_its_stream) {
            let original_us = original.map(|timestamp| to_us(timestamp, stream.base));
            let (gap, step) = stream.record_packet(packet, original_us, number);
            // With video, its keyframes are the evidence.
            let is_alone = self.video.is_none();
            self.add_discontinuity(step.filter(|step| is_alone && self.is_hole(step, false)), packet);
            if let Some(mut gap) = gap {
                gap.lacks_bytes = self.is_chain_broken(&gap);
                let previous = self.audio.as_mut().and_then(|stream| stream.gap.replace(gap));
                self.settle_audio(previous);
                self.join_gaps();
            }
        }
    }

    /// Records that a video packet at this timestamp, or one shortly before it, did not decode.
    pub(crate) fn record_damage(&mut self, at_us: i64) {
        if let Some(stream) = &mut self.video {
            stream.damaged_us = Some(at_us);
            if let Some(gap) = &mut stream.gap {
                gap.is_near_damage |= at_us <= gap.until_us.saturating_add(DAMAGE_DISTANCE_US);
            }
        }
    }

    /// Settles the last gaps at the end of the source and returns the holes.
    pub(crate) fn finish(&mut self) -> Holes {
        let video = self.video.as_mut().and_then(|stream| stream.gap.take());
        self.settle_video(video);
        let audio = self.audio.as_mut().and_then(|stream| stream.gap.take());
        self.settle_audio(audio);
        self.found
    }

    /// Counts a hole in video and audio once both of its gaps are known.
    fn join_gaps(&mut self) {
        let Some((video, audio)) = self.video.as_mut().zip(self.audio.as_mut()) else {
            return;
        };
        if let Some((one, two)) = video.gap.zip(audio.gap)
            && one.matches(&two)
            && (audio.continuous
                || one.has_evidence()
                || two.has_evidence()
                || have_common_cause([&one, &two], self.is_short))
        {
            (video.gap, audio.gap) = (None, None);
            // No packet is lost: the recorder was paused.
            if self.format == Format::Indexed {
                return;
            }
            let [one, two] = [one, two].map(|gap| self.clip(&gap));
            // Playback is interrupted for the longer one.
            if let Some((length_us, at_us)) = one.max(two) {
                let first_us = [one, two].into_iter().flatten().map(|(_, at_us)| at_us).min();
                self.found.all.add(length_us, first_us.unwrap_or(at_us));
            }
        }
    }

    /// Counts a gap in video alone if there is evidence.
    fn settle_video(&mut self, gap: Option<Gap>) {
        // While audio continues, a frame may be shown for an hour, near damage as well.
        let is_hole = |gap: &Gap| {
            gap.has_evidence()
                && self.format != Format::Indexed
                && (self.audio.is_none() || gap.length_us() <= MAX_FORWARD_US)
        };
        if let Some((length_us, at_us)) = gap.filter(is_hole).and_then(|gap| self.clip(&gap)) {
            self.found.all.add(length_us, at_us);
        }
    }

    /// Counts a gap in audio alone if there is evidence.
    fn settle_audio(&mut self, gap: Option<Gap>) {
        let is_continuous = self.audio.as_ref().is_some_and(|stream| stream.continuous);
        let is_hole = |gap: &Gap| match self.format {
            // A chained logical stream may begin at any granule position (RFC 7845 §4.5).
            Format::Ogg => is_continuous && gap.lacks_bytes,
            _ => {
                let is_alone = self.video.is_none() && gap.length_us() >= MIN_DISCONTINUOUS_GAP_US;
                is_continuous || gap.lacks_bytes || (self.is_short && is_alone)
            }
        };
        if let Some((length_us, at_us)) = gap.filter(is_hole).and_then(|gap| self.clip(&gap)) {
            let total = if self.video.is_some() || self.format == Format::Indexed {
                &mut self.found.audio
            } else {
                &mut self.found.all
            };
            total.add(length_us, at_us);
        }
    }

    /// Returns `true` if packets are lost at a discontinuity. `mid_gop`: video continues there without a keyframe.
    /// Concatenated files may have that as well, with any timestamp, so the length is limited to twice the length of
    /// the stream before it.
    fn is_hole(&self, step: &ForwardStep, mid_gop: bool) -> bool {
        match self.format {
            Format::Ogg => self.has_missing_bytes(step.bytes, missing_bytes::in_ogg),
            Format::Flv => self.has_missing_bytes(step.bytes, missing_bytes::in_flv),
            Format::Indexed => false,
            Format::Matroska | Format::Other => mid_gop && step.length_us / 2 <= step.previous_us,
        }
    }

    /// Returns `true` if pages, elements or boxes do not lead from one side of a gap to the other.
    fn is_chain_broken(&self, gap: &Gap) -> bool {
        match self.format {
            Format::Ogg => self.has_missing_bytes(gap.bytes, missing_bytes::in_ogg),
            Format::Matroska => self.has_missing_bytes(gap.bytes, matroska_chain::is_broken),
            Format::Other => gap.bytes.is_some_and(|(from, to)| {
                let next = self.breaks.partition_point(|at| *at <= from);
                self.breaks.get(next).is_some_and(|at| *at <= to)
            }),
            Format::Flv | Format::Indexed => false,
        }
    }

    /// Returns `true` if bytes of the file are missing between two byte positions, according to `check`.
    fn has_missing_bytes(&self, bytes: Option<(u64, u64)>, check: fn(&File, u64, u64) -> bool) -> bool {
        let evidence = self.source.as_ref().zip(bytes);
        evidence.is_some_and(|(source, (from, to))| check(source, from, to))
    }

    /// Counts a hole at a discontinuity.
    fn add_discontinuity(&mut self, step: Option<ForwardStep>, packet: &Packet) {
        let timestamp = packet.dts().or_else(|| packet.pts());
        let at_us = timestamp
            .zip(self.base(packet.stream()))
            .map(|(timestamp, base)| to_us(timestamp, base));
        if let Some((step, at_us)) = step.zip(at_us.filter(|us| self.span_us.contains(us))) {
            self.found.all.add(step.length_us, at_us);
        }
    }

    /// Length and position of the part of a gap that lies in the watched time range.
    fn clip(&self, gap: &Gap) -> Option<(i64, i64)> {
        let from_us = gap.from_us.max(self.span_us.start);
        let length_us = gap.until_us.min(self.span_us.end).saturating_sub(from_us);
        (length_us >= MIN_PART_US).then_some((length_us, from_us))
    }
}

/// Returns `true` if missing bytes have made two gaps of the same length. Pauses of a codec are shorter, so that short
/// gaps count only if bytes are missing somewhere in the file.
fn have_common_cause([one, two]: [&Gap; 2], is_short: bool) -> bool {
    let is_long = one.length_us().min(two.length_us()) >= MIN_DISCONTINUOUS_GAP_US;
    one.is_as_long_as(two) && (is_long || is_short)
}

/// Containers without timestamps: FFmpeg counts packets instead, so there are no gaps.
const WITHOUT_TIMESTAMPS: [&str; 5] = ["avi", "mp3", "aac", "wav", "mxf"];

/// Selects the streams to watch, video and audio: those that outputs use. If they use only one kind, the best stream of
/// the other kind is watched for evidence, unless the container has no timestamps or an index lists its packets.
pub(crate) fn watched_streams(
    input: &Input,
    source: &File,
    video: Option<usize>,
    audio: Option<usize>,
) -> [Option<usize>; 2] {
    let has_timestamps = has_timestamps(input);
    let best = |kind: Type| {
        let stream = input.streams().best(kind).filter(|_| has_timestamps)?;
        (!is_cover_art(&stream) && !is_indexed(input, source, stream.index())).then(|| stream.index())
    };
    [video.or_else(|| best(Type::Video)), audio.or_else(|| best(Type::Audio))]
}

/// Returns `true` if packets of the container have timestamps.
pub(crate) fn has_timestamps(input: &Input) -> bool {
    !WITHOUT_TIMESTAMPS.contains(&input.format().name())
}

/// Returns `true` if an index lists all packets of a stream, as in MP4. In a fragmented MP4, the index lists at most
/// the samples before the first fragment.
fn is_indexed(input: &Input, source: &File, index: usize) -> bool {
    let frames = input.stream(index).map_or(0, |stream| stream.frames());
    is_mp4(input.format().name()) && frames > 0 && !fragments::is_fragmented(source)
}
