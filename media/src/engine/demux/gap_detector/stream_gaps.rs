//! Gaps between the packets of one stream.
//!
//! A gap is a step in the timestamps that is long in absolute terms and long compared with the previous step of the
//! stream. Timestamps are compared twice: on the repaired timeline, where [`Gap`]s are found, and as the file has them,
//! where a step forward above [`MAX_FORWARD_US`] is a [`ForwardStep`].

use crate::engine::demux::discontinuity::MAX_FORWARD_US;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::time::{DEFAULT_FRAME_INTERVAL_US, to_us};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational};

/// Minimum length of a gap in microseconds; shorter ones are jitter.
const MIN_GAP_US: i64 = 250_000;

/// Minimum ratio of a gap to the previous step between two packets.
const MIN_STEP_RATIO: i64 = 3;

/// Maximum distance in packets between the gaps of one hole in two streams. It is not 0 because a parser returns a
/// frame only after it has seen the start of the next one.
const MAX_PACKET_DISTANCE: u64 = 16;

/// Maximum difference in length of the gaps of one hole in two streams, in microseconds. A quarter of the length is
/// allowed as well. Interleaving is not exact to the packet.
const MAX_LENGTH_DIFFERENCE_US: i64 = 500_000;

/// Maximum distance in microseconds of packets that do not decode to the gap for which they are evidence.
pub(crate) const DAMAGE_DISTANCE_US: i64 = 1_000_000;

/// Codecs whose encoders send little or nothing during silence (discontinuous transmission, RFC 3389 comfort noise).
const DISCONTINUOUS_CODECS: [&str; 7] = [
    "opus",
    "speex",
    "amr_nb",
    "amr_wb",
    "nellymoser",
    "pcm_alaw",
    "pcm_mulaw",
];

/// Minimum length in microseconds of a gap of [`DISCONTINUOUS_CODECS`] that may be a loss although no bytes are missing
/// near it. Opus sends a packet at least every 400 ms during silence (RFC 6716 §2.1.9).
pub(crate) const MIN_DISCONTINUOUS_GAP_US: i64 = 1_000_000;

/// Maximum difference in length of two gaps that missing bytes have made, in microseconds. Both begin and end at the
/// same byte, so their lengths differ by a packet of each stream at most.
const MAX_COMMON_DIFFERENCE_US: i64 = 150_000;

/// A gap in the timestamps of a stream, in microseconds after discontinuities were repaired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) from_us: i64,
    pub(crate) until_us: i64,
    /// Numbers of the packets before and after it, counted over both streams in file order.
    packets: (u64, u64),
    /// Byte positions of the packets before and after it.
    pub(crate) bytes: Option<(u64, u64)>,
    /// `true` if a packet after it is corrupt, or one near it did not decode.
    pub(crate) is_near_damage: bool,
    /// `true` if bytes of the file are missing in it.
    pub(crate) lacks_bytes: bool,
}

impl Gap {
    pub(crate) const fn length_us(&self) -> i64 {
        self.until_us.saturating_sub(self.from_us)
    }

    /// Returns `true` if packets were lost in it, by the evidence that does not depend on other streams.
    pub(crate) const fn has_evidence(&self) -> bool {
        self.is_near_damage || self.lacks_bytes
    }

    /// Returns `true` if both may be one hole: at the same position of the file and of about the same length.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        let (one, two) = (self.length_us(), other.length_us());
        let is_near = self.packets.0 < other.packets.1 + MAX_PACKET_DISTANCE
            && other.packets.0 < self.packets.1 + MAX_PACKET_DISTANCE;
        is_near && (one - two).abs() <= MAX_LENGTH_DIFFERENCE_US.max(one.max(two) / 4)
    }

    /// Returns `true` if one cause has made both, because their lengths are equal: a pause of the audio does not make
    /// the video pause for the same time.
    pub(crate) const fn is_as_long_as(&self, other: &Self) -> bool {
        (self.length_us() - other.length_us()).abs() <= MAX_COMMON_DIFFERENCE_US
    }
}

/// The latest packet of a stream.
#[derive(Clone, Copy, Debug)]
struct LatestPacket {
    /// Start and end in microseconds, after discontinuities were repaired.
    start_us: i64,
    end_us: i64,
    /// End in microseconds as the file has it.
    original_end_us: i64,
    /// Microseconds since the start of the previous packet; `None` for the first one.
    step_us: Option<i64>,
    /// Its number, counted over both streams in file order.
    number: u64,
    /// Its byte position, and that of the latest packet at another position.
    bytes: (Option<u64>, Option<u64>),
}

/// A step forward that is handled as a discontinuity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ForwardStep {
    /// Length in microseconds.
    pub(crate) length_us: i64,
    /// Duration of the stream before it in microseconds.
    pub(crate) previous_us: i64,
    /// Byte positions of the packets before and after it.
    pub(crate) bytes: Option<(u64, u64)>,
}

/// State of one watched stream.
#[derive(Debug)]
pub(crate) struct StreamGaps {
    pub(crate) index: usize,
    pub(crate) base: Rational,
    /// Maximum duration of a packet in microseconds; 0 if unknown.
    packet_us: i64,
    /// `true` if the codec sends packets continuously, also during silence. Always `false` for video.
    pub(crate) continuous: bool,
    is_ogg: bool,
    /// Start of the first packet in microseconds.
    first_us: Option<i64>,
    latest: Option<LatestPacket>,
    /// The latest gap, until it is counted as a hole or dropped.
    pub(crate) gap: Option<Gap>,
    /// Timestamp of the latest packet that did not decode, in microseconds.
    pub(crate) damaged_us: Option<i64>,
}

impl StreamGaps {
    /// Starts to watch a stream; `None` if there is none with this index.
    pub(crate) fn of(input: &Input, index: usize) -> Option<Self> {
        let stream = input.stream(index)?;
        let facts = parameters::codec_facts(&stream.parameters());
        let is_video = facts.kind == MediaType::Video;
        let packet_us = if is_video {
            let rate = stream.avg_frame_rate();
            if rate.numerator() > 0 {
                to_us(1, rate.invert())
            } else {
                DEFAULT_FRAME_INTERVAL_US
            }
        } else {
            i64::from(facts.frame_samples) * 1_000_000 / i64::from(facts.sample_rate_hz.max(1))
        };
        // In Ogg, page numbers are the evidence for all codecs.
        let is_ogg = input.format().name() == "ogg";
        let is_discontinuous = !is_ogg && DISCONTINUOUS_CODECS.contains(&facts.name);
        Some(Self {
            index,
            base: stream.time_base(),
            packet_us,
            continuous: !is_video && !is_discontinuous,
            is_ogg,
            first_us: None,
            latest: None,
            gap: None,
            damaged_us: None,
        })
    }

    /// Records a packet, whose timestamp before discontinuities were repaired is `original_us` and which has this
    /// number in the file. Returns the gap before it, or the step forward, if it is a discontinuity.
    pub(crate) fn record_packet(
        &mut self,
        packet: &Packet,
        original_us: Option<i64>,
        number: u64,
    ) -> (Option<Gap>, Option<ForwardStep>) {
        // The duration of a packet may include the gap after it, if the demuxer computed it from the next timestamp.
        let stored_us = to_us(packet.duration().max(0), self.base);
        let duration_us = match (stored_us, self.packet_us) {
            (0, packet_us) => packet_us,
            (stored_us, 0) => stored_us,
            (stored_us, packet_us) => stored_us.min(packet_us),
        };
        let timestamp = packet.dts().or_else(|| packet.pts());
        let start_us = timestamp.map(|timestamp| to_us(timestamp, self.base));
        let Some((start_us, original_us)) = start_us.zip(original_us) else {
            // A packet without timestamps follows the previous one.
            if let Some(latest) = &mut self.latest {
                latest.end_us = latest.end_us.saturating_add(duration_us);
                latest.original_end_us = latest.original_end_us.saturating_add(duration_us);
            }
            return (None, None);
        };
        let first_us = *self.first_us.get_or_insert(start_us);
        let position = u64::try_from(packet.position()).ok();
        // For Ogg, FFmpeg returns the position of the page in which a packet ends, which several packets share.
        let previous_position = self.latest.and_then(|latest| {
            let (last, other) = latest.bytes;
            if last == position { other } else { last }
        });
        // It computes the times of a page from the end of the one before, so a gap shows one page after missing ones.
        let earlier = self.latest.and_then(|latest| latest.bytes.1);
        let from = earlier.filter(|_| self.is_ogg).or(previous_position);
        let bytes = from.zip(position);
        let previous = self.latest.replace(LatestPacket {
            start_us,
            end_us: start_us.saturating_add(duration_us),
            original_end_us: original_us.saturating_add(duration_us),
            step_us: self.latest.map(|latest| start_us.saturating_sub(latest.start_us)),
            number,
            bytes: (position, previous_position),
        });
        let Some(previous) = previous else {
            return (None, None);
        };
        let gap_us = start_us.saturating_sub(previous.end_us);
        let original_gap_us = original_us.saturating_sub(previous.original_end_us);
        // The repair has shortened the step, so it is a discontinuity. The step after the repair need not be 0: if
        // another stream began the section, this one may continue earlier or later.
        if original_gap_us > MAX_FORWARD_US && original_gap_us.saturating_sub(gap_us) > MIN_GAP_US {
            let step = ForwardStep {
                length_us: original_gap_us,
                previous_us: previous.end_us.saturating_sub(first_us),
                bytes,
            };
            return (None, Some(step));
        }
        let is_unusual = |step_us: i64| gap_us >= MIN_STEP_RATIO.saturating_mul(step_us);
        let is_long = gap_us >= MIN_GAP_US && previous.step_us.is_some_and(is_unusual);
        let is_damaged = |us: i64| us >= previous.end_us - DAMAGE_DISTANCE_US;
        let gap = is_long.then(|| Gap {
            from_us: previous.end_us,
            until_us: start_us,
            packets: (previous.number, number),
            bytes,
            is_near_damage: packet.is_corrupt() || self.damaged_us.is_some_and(is_damaged),
            lacks_bytes: false,
        });
        (gap, None)
    }
}
