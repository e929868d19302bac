//! Gaps between the packets of one stream.

use crate::engine::demux::discontinuity::MAX_FORWARD_US;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::time::{DEFAULT_FRAME_INTERVAL_US, to_us};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational};

/// Gaps shorter than this are jitter, in microseconds.
const LEAST_US: i64 = 250_000;

/// A gap is unusual when it is at least so many times as long as the step between the packets before it.
const USUAL_STEPS: i64 = 3;

/// Packets of other streams between the ends of one hole in two streams, at most: a parser returns a frame only when it
/// has seen the next one.
const APART: u64 = 16;

/// Gaps of video and audio that belong to one hole differ in length by less than this, in microseconds, or by less than
/// a quarter: interleaving is not exact to the packet.
const UNLIKE_US: i64 = 500_000;

/// Distance up to which packets that do not decode are evidence for a hole, in microseconds.
pub(crate) const BESIDE_US: i64 = 1_000_000;

/// Codecs whose encoders send little or nothing during silence (discontinuous transmission, RFC 3389 comfort noise).
const PAUSING: [&str; 7] = [
    "opus",
    "speex",
    "amr_nb",
    "amr_wb",
    "nellymoser",
    "pcm_alaw",
    "pcm_mulaw",
];

/// Longest pause of [`PAUSING`] that is no gap, in microseconds (RFC 6716 §2.1.9: a packet at least every 400 ms).
const PAUSE_US: i64 = 1_000_000;

/// A gap in the timestamps of a stream, in microseconds on the repaired clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) from_us: i64,
    pub(crate) until_us: i64,
    /// Numbers of the packets before and after it, counted over both streams in the order of the file.
    packets: (u64, u64),
    /// Byte positions of the packets before and after it.
    pub(crate) bytes: Option<(u64, u64)>,
    /// `true` when packets beside it are damaged.
    pub(crate) damaged: bool,
}

impl Gap {
    pub(crate) const fn length_us(&self) -> i64 {
        self.until_us.saturating_sub(self.from_us)
    }

    /// Returns `true` when both may be one hole: at the same position of the file and of about the same length.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        let (one, two) = (self.length_us(), other.length_us());
        let meets = self.packets.0 < other.packets.1 + APART && other.packets.0 < self.packets.1 + APART;
        meets && (one - two).abs() <= UNLIKE_US.max(one.max(two) / 4)
    }
}

/// The latest packet of a stream.
#[derive(Clone, Copy, Debug)]
struct Latest {
    /// Its end in microseconds, on the repaired clock and by the timestamps of the file.
    end_us: i64,
    own_end_us: i64,
    start_us: i64,
    /// Microseconds since the packet before it; `None` for the first one.
    step_us: Option<i64>,
    place: u64,
    /// Its byte position, and that of the latest packet at another position.
    bytes: (Option<u64>, Option<u64>),
}

/// A gap that is handled as a discontinuity of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jump {
    pub(crate) length_us: i64,
    /// Microseconds of the stream before it.
    pub(crate) shown_us: i64,
    /// Byte positions of the packets before and after it.
    pub(crate) bytes: Option<(u64, u64)>,
}

/// State of one watched stream.
#[derive(Debug)]
pub(crate) struct StreamGaps {
    pub(crate) index: usize,
    pub(crate) base: Rational,
    /// Longest duration of a packet in microseconds; 0 when unknown.
    packet_us: i64,
    /// `true` when its codec sends packets all the time.
    pub(crate) steady: bool,
    /// Shortest gap that counts, in microseconds.
    least_us: i64,
    /// Start of its first packet in microseconds.
    first_us: Option<i64>,
    latest: Option<Latest>,
    /// The latest gap that is not settled yet.
    pub(crate) gap: Option<Gap>,
    /// Time of the latest packet that did not decode, in microseconds.
    pub(crate) damaged_us: Option<i64>,
}

impl StreamGaps {
    pub(crate) fn of(input: &Input, index: usize) -> Option<Self> {
        let stream = input.stream(index)?;
        let facts = parameters::codec_facts(&stream.parameters());
        let video = facts.kind == MediaType::Video;
        let packet_us = if video {
            let rate = stream.avg_frame_rate();
            if rate.numerator() > 0 {
                to_us(1, rate.invert())
            } else {
                DEFAULT_FRAME_INTERVAL_US
            }
        } else {
            i64::from(facts.frame_samples) * 1_000_000 / i64::from(facts.sample_rate_hz.max(1))
        };
        let pausing = input.format().name() != "ogg" && PAUSING.contains(&facts.name);
        Some(Self {
            index,
            base: stream.time_base(),
            packet_us,
            steady: !video && !pausing,
            least_us: if pausing { PAUSE_US } else { LEAST_US },
            first_us: None,
            latest: None,
            gap: None,
            damaged_us: None,
        })
    }

    /// Records a packet whose timestamp in the file is `own_us`; returns the gap before it, or the discontinuity.
    pub(crate) fn record_packet(
        &mut self,
        packet: &Packet,
        own_us: Option<i64>,
        place: u64,
    ) -> (Option<Gap>, Option<Jump>) {
        let told_us = to_us(packet.duration().max(0), self.base);
        let length_us = match (told_us, self.packet_us) {
            (0, packet_us) => packet_us,
            (told_us, 0) => told_us,
            (told_us, packet_us) => told_us.min(packet_us),
        };
        let time = packet.dts().or_else(|| packet.pts());
        let Some((start_us, own_us)) = time.map(|time| to_us(time, self.base)).zip(own_us) else {
            if let Some(latest) = &mut self.latest {
                latest.end_us = latest.end_us.saturating_add(length_us);
                latest.own_end_us = latest.own_end_us.saturating_add(length_us);
            }
            return (None, None);
        };
        let first_us = *self.first_us.get_or_insert(start_us);
        let at_byte = u64::try_from(packet.position()).ok();
        // For Ogg, FFmpeg returns the position of the page in which a packet ends, which several packets share.
        let other_byte = self.latest.and_then(|latest| {
            let (last, other) = latest.bytes;
            if last == at_byte { other } else { last }
        });
        let bytes = other_byte.zip(at_byte);
        let before = self.latest.replace(Latest {
            end_us: start_us.saturating_add(length_us),
            own_end_us: own_us.saturating_add(length_us),
            start_us,
            step_us: self.latest.map(|latest| start_us.saturating_sub(latest.start_us)),
            place,
            bytes: (at_byte, other_byte),
        });
        let Some(before) = before else { return (None, None) };
        let step_us = start_us.saturating_sub(before.end_us);
        let own_step_us = own_us.saturating_sub(before.own_end_us);
        // After a discontinuity, the streams need not begin at the same time.
        if own_step_us > MAX_FORWARD_US && own_step_us.saturating_sub(step_us) > LEAST_US {
            let jump = Jump {
                length_us: own_step_us,
                shown_us: before.end_us.saturating_sub(first_us),
                bytes,
            };
            return (None, Some(jump));
        }
        let is_unusual = |usual_us: i64| step_us >= USUAL_STEPS.saturating_mul(usual_us);
        let is_long = step_us >= self.least_us && before.step_us.is_some_and(is_unusual);
        let gap = is_long.then(|| Gap {
            from_us: before.end_us,
            until_us: start_us,
            packets: (before.place, place),
            bytes,
            damaged: packet.is_corrupt() || self.damaged_us.is_some_and(|us| us >= before.end_us - BESIDE_US),
        });
        (gap, None)
    }
}
