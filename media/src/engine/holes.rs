//! Holes: times whose packets a file has lost, told by the times of those around them.
//!
//! A long step between two packets alone proves nothing: a picture may stand for an hour, and where nothing is said,
//! recorders of calls write no sound. It is a hole
//! - in sound whose encoders send packets all the time;
//! - in pictures and sound, where both have one of about the same length at the same place of the file;
//! - in pictures beside packets that do not decode, under sound when it is not too long;
//! - in Ogg, whose encoders fill every pause (RFC 7845 §4.1), also where the step is so long that it is taken for a new clock;
//! - behind such a step elsewhere, where pictures go on without a keyframe: what is joined begins with one;
//! - behind such a step in FLV, where the length that the header tells counts it.

use super::av;
use super::clock::FORWARD_US;
use super::facts::to_us;
use super::track::USUAL_INTERVAL_US;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Packet, Rational};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

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
const BESIDE_US: i64 = 1_000_000;

/// Less of a hole inside of a span is none, in microseconds.
const TOUCHED_US: i64 = 50_000;

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

/// What is lost to holes, in microseconds, and where the first of it is on the clock of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) length_us: i64,
    pub(super) at_us: Option<i64>,
}

impl Amount {
    fn add(&mut self, length_us: i64, at_us: i64) {
        self.length_us = self.length_us.saturating_add(length_us);
        self.at_us = Some(self.at_us.map_or(at_us, |first| first.min(at_us)));
    }
}

/// Holes of a span: those of all that was to be there, and those of sound while pictures go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holes {
    pub(super) all: Amount,
    pub(super) sound: Amount,
}

/// A long step.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from_us: i64,
    until_us: i64,
    /// Its last packet before and its first one after, counted in the order of the file.
    packets: (u64, u64),
    /// Whether packets beside it are damaged.
    damaged: bool,
}

impl Gap {
    const fn length_us(&self) -> i64 {
        self.until_us.saturating_sub(self.from_us)
    }

    /// Whether both may be the same hole: at the same place of the file, and of about the same length.
    fn matches(&self, other: &Self) -> bool {
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
    /// The step to it, or its length.
    step_us: i64,
    place: u64,
}

/// A stream that is watched.
#[derive(Debug)]
struct Lane {
    index: usize,
    base: Rational,
    /// How long a packet is at most; 0 when that is not known.
    packet_us: i64,
    /// Whether its encoder sends packets all the time.
    steady: bool,
    /// Shorter steps are its way.
    least_us: i64,
    latest: Option<Latest>,
    /// The latest long step that is not yet told.
    gap: Option<Gap>,
    /// When packets did not decode, lately.
    damaged_us: Option<i64>,
}

impl Lane {
    fn of(input: &Input, index: usize) -> Option<Self> {
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
        let pausing = !is_ogg(input) && PAUSING.contains(&facts.name);
        Some(Self {
            index,
            base: stream.time_base(),
            packet_us,
            steady: !pictures && !pausing,
            least_us: if pausing { PAUSE_US } else { LEAST_US },
            latest: None,
            gap: None,
            damaged_us: None,
        })
    }

    /// Notes a packet, which by the times of the file comes at `own_us`; gives the step to it where that is long, and how much of one was
    /// taken for a new clock.
    fn note(&mut self, packet: &Packet, own_us: Option<i64>, place: u64) -> (Option<Gap>, Option<i64>) {
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
        let before = self.latest.replace(Latest {
            end_us: start_us.saturating_add(length_us),
            own_end_us: own_us.saturating_add(length_us),
            start_us,
            step_us: self
                .latest
                .map_or(length_us, |latest| start_us.saturating_sub(latest.start_us)),
            place,
        });
        let Some(before) = before else { return (None, None) };
        let step_us = start_us.saturating_sub(before.end_us);
        let own_step_us = own_us.saturating_sub(before.own_end_us);
        // Streams of one section of the clock need not begin it together.
        if own_step_us > FORWARD_US && own_step_us.saturating_sub(step_us) > LEAST_US {
            return (None, Some(own_step_us));
        }
        let is_long = step_us >= self.least_us && step_us >= USUAL_STEPS.saturating_mul(before.step_us);
        let gap = is_long.then(|| Gap {
            from_us: before.end_us,
            until_us: start_us,
            packets: (before.place, place),
            damaged: packet.is_corrupt() || self.damaged_us.is_some_and(|us| us >= before.end_us - BESIDE_US),
        });
        (gap, None)
    }
}

/// Looks for holes while a source is read in its order.
#[derive(Debug)]
pub(super) struct Watch {
    pictures: Option<Lane>,
    sound: Option<Lane>,
    is_ogg: bool,
    /// Where the file ends by its header, when it is an FLV that tells.
    told_end_us: Option<i64>,
    span_us: Range<i64>,
    packets: u64,
    found: Holes,
}

impl Watch {
    /// Watches streams of pictures and sound; what lies in a span of the clock of the source counts.
    pub(super) fn new(
        (input, source): (&Input, &File),
        [pictures, sound]: [Option<usize>; 2],
        span_us: Range<i64>,
    ) -> Self {
        let lane = |index: Option<usize>| Lane::of(input, index?);
        Self {
            pictures: lane(pictures),
            sound: lane(sound),
            is_ogg: is_ogg(input),
            told_end_us: (input.format().name() == "flv").then(|| flv_us(source)).flatten(),
            span_us,
            packets: 0,
            found: Holes::default(),
        }
    }

    /// The unit of time of a stream that is watched.
    pub(super) fn base(&self, stream: usize) -> Option<Rational> {
        let lanes = [&self.pictures, &self.sound].into_iter().flatten();
        lanes.filter(|lane| lane.index == stream).map(|lane| lane.base).next()
    }

    /// Notes a packet with the time of decoding, or of showing, that the file tells.
    pub(super) fn note(&mut self, packet: &Packet, own: Option<i64>) {
        self.packets += 1;
        let (place, is_key) = (self.packets, packet.is_key() && !packet.is_corrupt());
        let index = packet.stream();
        let is = |lane: &&mut Lane| lane.index == index;
        if let Some(lane) = self.pictures.as_mut().filter(is) {
            let own_us = own.map(|own| to_us(own, lane.base));
            let (gap, jumped_us) = lane.note(packet, own_us, place);
            let tells = self.is_ogg || !is_key || self.is_told(own_us);
            self.jump(jumped_us.filter(|_| tells), packet);
            if let Some(gap) = gap {
                let before = self.pictures.as_mut().and_then(|lane| lane.gap.replace(gap));
                self.settle_pictures(before);
                self.join();
            }
        } else if let Some(lane) = self.sound.as_mut().filter(is) {
            let own_us = own.map(|own| to_us(own, lane.base));
            let (gap, jumped_us) = lane.note(packet, own_us, place);
            let tells = self.pictures.is_none() && (self.is_ogg || self.is_told(own_us));
            self.jump(jumped_us.filter(|_| tells), packet);
            if let Some(gap) = gap {
                let before = self.sound.as_mut().and_then(|lane| lane.gap.replace(gap));
                self.settle_sound(before);
                self.join();
            }
        }
    }

    /// Notes that a packet of pictures, or one shortly before it, did not decode.
    pub(super) fn damage(&mut self, at_us: i64) {
        if let Some(lane) = &mut self.pictures {
            lane.damaged_us = Some(at_us);
            if let Some(gap) = &mut lane.gap {
                gap.damaged |= at_us <= gap.until_us.saturating_add(BESIDE_US);
            }
        }
    }

    /// What was found, when nothing follows.
    pub(super) fn finish(&mut self) -> Holes {
        let pictures = self.pictures.as_mut().and_then(|lane| lane.gap.take());
        self.settle_pictures(pictures);
        let sound = self.sound.as_mut().and_then(|lane| lane.gap.take());
        self.settle_sound(sound);
        self.found
    }

    /// Tells a hole of pictures and sound once both are known.
    fn join(&mut self) {
        let Some((pictures, sound)) = self.pictures.as_mut().zip(self.sound.as_mut()) else {
            return;
        };
        if let Some((one, two)) = pictures.gap.zip(sound.gap)
            && one.matches(&two)
        {
            (pictures.gap, sound.gap) = (None, None);
            let [one, two] = [one, two].map(|gap| self.within(&gap));
            // The longer one is what is seen or heard to be missing.
            if let Some((length_us, at_us)) = one.max(two) {
                let first_us = [one, two].into_iter().flatten().map(|(_, at_us)| at_us).min();
                self.found.all.add(length_us, first_us.unwrap_or(at_us));
            }
        }
    }

    fn settle_pictures(&mut self, gap: Option<Gap>) {
        // Under sound that goes on a picture may stand for an hour, damage beside it or not.
        let believed = |gap: &Gap| gap.damaged && (self.sound.is_none() || gap.length_us() <= FORWARD_US);
        if let Some((length_us, at_us)) = gap.filter(believed).and_then(|gap| self.within(&gap)) {
            self.found.all.add(length_us, at_us);
        }
    }

    fn settle_sound(&mut self, gap: Option<Gap>) {
        let is_steady = self.sound.as_ref().is_some_and(|lane| lane.steady);
        if let Some((length_us, at_us)) = gap.filter(|_| is_steady).and_then(|gap| self.within(&gap)) {
            let amount = match self.pictures {
                Some(_) => &mut self.found.sound,
                None => &mut self.found.all,
            };
            amount.add(length_us, at_us);
        }
    }

    /// Whether a time lies in the length that the header tells.
    fn is_told(&self, own_us: Option<i64>) -> bool {
        own_us
            .zip(self.told_end_us)
            .is_some_and(|(own_us, end_us)| own_us < end_us)
    }

    /// Tells what is missing where the clock was set forward.
    fn jump(&mut self, length_us: Option<i64>, packet: &Packet) {
        let time = packet.dts().or_else(|| packet.pts());
        let at_us = time
            .zip(self.base(packet.stream()))
            .map(|(time, base)| to_us(time, base));
        if let Some((length_us, at_us)) = length_us.zip(at_us.filter(|us| self.span_us.contains(us))) {
            self.found.all.add(length_us, at_us);
        }
    }

    /// How much of a gap lies in the span, and where.
    fn within(&self, gap: &Gap) -> Option<(i64, i64)> {
        let from_us = gap.from_us.max(self.span_us.start);
        let length_us = gap.until_us.min(self.span_us.end).saturating_sub(from_us);
        (length_us >= TOUCHED_US).then_some((length_us, from_us))
    }
}

/// The streams whose packets tell of holes: those that are made use of, and beside them pictures or sound that are only
/// looked at, unless the index of the file tells all times already.
pub(super) fn watched(input: &Input, (pictures, sound): (Option<usize>, Option<usize>)) -> [Option<usize>; 2] {
    let best = |kind: Type| {
        let stream = input.streams().best(kind)?;
        let is_cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
        let is_indexed = input.format().name().starts_with("mov") && stream.frames() > 0;
        (!is_cover && !is_indexed).then(|| stream.index())
    };
    [
        pictures.or_else(|| best(Type::Video)),
        sound.or_else(|| best(Type::Audio)),
    ]
}

/// The length that the metadata of an FLV tell in microseconds: `duration` of `onMetaData`, in seconds, as a number of AMF 0 (Adobe
/// Flash Video File Format Specification 10.1 §E.5). FFmpeg does not say whether it found it or guessed.
fn flv_us(source: &File) -> Option<i64> {
    const KEY: &[u8] = b"\x00\x08duration\x00";
    let mut head = [0; 4_096];
    let count = source.read_at(&mut head, 0).ok()?;
    let head = head.get(..count)?;
    let place = head.windows(KEY.len()).position(|window| window == KEY)?;
    let seconds = f64::from_be_bytes(*head.get(place + KEY.len()..)?.first_chunk()?);
    let length = Duration::try_from_secs_f64(seconds).ok()?;
    i64::try_from(length.as_micros()).ok().filter(|us| *us > 0)
}

fn is_ogg(input: &Input) -> bool {
    input.format().name() == "ogg"
}
