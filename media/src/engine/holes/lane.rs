//! The packets of one stream, and the long steps between them.

use crate::engine::av;
use crate::engine::clock::FORWARD_US;
use crate::engine::facts::to_us;
use crate::engine::track::USUAL_INTERVAL_US;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational};

/// Steps that are longer than packets by less than this are jitter, in microseconds.
const LEAST_US: i64 = 250_000;

/// A step of less than so many usual ones is the way of its stream.
const USUAL_STEPS: i64 = 3;

/// What follows a hole in the file comes so many packets apart at most: a parser gives a picture away when it sees the next one.
const APART: u64 = 16;

/// Holes of pictures and of sound at one place differ by less than this in length, in microseconds, or by a quarter: streams do not lie
/// side by side to the packet.
const UNLIKE_US: i64 = 500_000;

/// Packets that do not decode belong to a hole that is so near, in microseconds.
pub(super) const BESIDE_US: i64 = 1_000_000;

/// Encoders of these send nothing, or nearly nothing, while they hear nothing (discontinuous transmission, comfort noise).
const PAUSING: [&str; 7] = [
    "opus",
    "speex",
    "amr_nb",
    "amr_wb",
    "nellymoser",
    "pcm_alaw",
    "pcm_mulaw",
];

/// Encoders of [`PAUSING`] that are silent still send a packet within this time (RFC 6716: every 400 ms).
const PAUSE_US: i64 = 1_000_000;

/// A long step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) from_us: i64,
    pub(super) until_us: i64,
    /// Its last packet before and its first one after, counted in the order of the file.
    packets: (u64, u64),
    /// Where the packets before and after it lie in the file.
    pub(super) bytes: Option<(u64, u64)>,
    /// Whether packets beside it are damaged.
    pub(super) damaged: bool,
}

impl Gap {
    pub(super) const fn length_us(&self) -> i64 {
        self.until_us.saturating_sub(self.from_us)
    }

    /// Whether both may be the same hole: at the same place of the file, and of about the same length.
    pub(super) fn matches(&self, other: &Self) -> bool {
        let (one, two) = (self.length_us(), other.length_us());
        let meets = self.packets.0 < other.packets.1 + APART && other.packets.0 < self.packets.1 + APART;
        meets && (one - two).abs() <= UNLIKE_US.max(one.max(two) / 4)
    }
}

/// The latest packet of a stream.
#[derive(Clone, Copy, Debug)]
struct Latest {
    /// When it ends on the repaired clock, and by the times of the file.
    end_us: i64,
    own_end_us: i64,
    start_us: i64,
    /// The step to it, when it is not the first one.
    step_us: Option<i64>,
    place: u64,
    /// Where it lies in the file, and where the latest one of another place does.
    bytes: (Option<u64>, Option<u64>),
}

/// A step that was taken for a new clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump {
    pub(super) length_us: i64,
    /// How much the stream has shown before.
    pub(super) shown_us: i64,
    /// Where the packets before and after it lie in the file.
    pub(super) bytes: Option<(u64, u64)>,
}

/// A stream that is watched.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) index: usize,
    pub(super) base: Rational,
    /// How long a packet is at most; 0 when that is not known.
    packet_us: i64,
    /// Whether its encoder sends packets all the time.
    pub(super) steady: bool,
    /// Shorter steps are its way.
    least_us: i64,
    /// When its first packet begins.
    first_us: Option<i64>,
    latest: Option<Latest>,
    /// The latest long step that is not yet told.
    pub(super) gap: Option<Gap>,
    /// When packets did not decode, lately.
    pub(super) damaged_us: Option<i64>,
}

impl Lane {
    pub(super) fn of(input: &Input, index: usize) -> Option<Self> {
        let stream = input.stream(index)?;
        let facts = av::codec_facts(&stream.parameters());
        let pictures = facts.kind == av::Kind::Video;
        let packet_us = if pictures {
            let rate = stream.avg_frame_rate();
            if rate.numerator() > 0 {
                to_us(1, rate.invert())
            } else {
                USUAL_INTERVAL_US
            }
        } else {
            i64::from(facts.frame_samples) * 1_000_000 / i64::from(facts.sample_rate_hz.max(1))
        };
        let pausing = input.format().name() != "ogg" && PAUSING.contains(&facts.name);
        Some(Self {
            index,
            base: stream.time_base(),
            packet_us,
            steady: !pictures && !pausing,
            least_us: if pausing { PAUSE_US } else { LEAST_US },
            first_us: None,
            latest: None,
            gap: None,
            damaged_us: None,
        })
    }

    /// Notes a packet, which by the times of the file comes at `own_us`; gives the step to it where that is long, or was
    /// taken for a new clock.
    pub(super) fn note(&mut self, packet: &Packet, own_us: Option<i64>, place: u64) -> (Option<Gap>, Option<Jump>) {
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
        // FFmpeg tells the page of Ogg in which a packet ends, which may be the one of the next packet.
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
        // Streams of one section of the clock need not begin it together.
        if own_step_us > FORWARD_US && own_step_us.saturating_sub(step_us) > LEAST_US {
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
