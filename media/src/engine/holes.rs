//! Holes: times whose packets a file has lost, told by the times of those around them.
//!
//! A long step between two packets alone proves nothing: a picture may stand for an hour, recorders are paused, and where nothing is
//! said or played, some write no sound. It is a hole
//! - in sound whose encoders send packets all the time, while pictures go on;
//! - in pictures and sound, where both have one of about the same length at the same place of the file, and the encoder of the sound
//!   sends packets all the time, or packets beside it are damaged;
//! - in pictures beside packets that do not decode, under sound when it is not too long;
//! - where the step is so long that it is taken for a new clock: in Ogg and FLV, when bytes of the file are missing there; elsewhere
//!   where pictures go on without a keyframe, when it is no longer than a file of this length may have lost.
//!
//! An index of all samples (`stbl` of ISO/IEC 14496-12) tells that none is lost: there only sound may have a hole.

mod lane;
mod missing;

use super::clock::FORWARD_US;
use super::facts::to_us;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Packet, Rational};
use lane::{BESIDE_US, Gap, Jump, Lane};
use std::fs::File;
use std::ops::Range;

/// Less of a hole inside of a span is none, in microseconds.
const TOUCHED_US: i64 = 50_000;

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

/// How a file tells of a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ogg,
    Flv,
    /// An index tells the times of all packets.
    Indexed,
    Other,
}

impl Format {
    fn of(input: &Input, streams: [Option<usize>; 2]) -> Self {
        let indexed = |index: usize| is_indexed(input, index);
        match input.format().name() {
            "ogg" => Self::Ogg,
            "flv" => Self::Flv,
            _ if streams.into_iter().flatten().any(indexed) => Self::Indexed,
            _ => Self::Other,
        }
    }
}

/// Looks for holes while a source is read in its order.
#[derive(Debug)]
pub(super) struct Watch {
    pictures: Option<Lane>,
    sound: Option<Lane>,
    format: Format,
    /// The file, to look for bytes that are missing.
    source: Option<File>,
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
            format: Format::of(input, [pictures, sound]),
            source: source.try_clone().ok(),
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
            let (gap, jump) = lane.note(packet, own_us, place);
            self.jump(jump.filter(|jump| self.is_hole(jump, !is_key)), packet);
            if let Some(gap) = gap {
                let before = self.pictures.as_mut().and_then(|lane| lane.gap.replace(gap));
                self.settle_pictures(before);
                self.join();
            }
        } else if let Some(lane) = self.sound.as_mut().filter(is) {
            let own_us = own.map(|own| to_us(own, lane.base));
            let (gap, jump) = lane.note(packet, own_us, place);
            let is_alone = self.pictures.is_none();
            self.jump(jump.filter(|jump| is_alone && self.is_hole(jump, false)), packet);
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
            && (sound.steady || one.damaged || two.damaged)
        {
            (pictures.gap, sound.gap) = (None, None);
            // The recorder was paused.
            if self.format == Format::Indexed {
                return;
            }
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
        let believed = |gap: &Gap| {
            gap.damaged && self.format != Format::Indexed && (self.sound.is_none() || gap.length_us() <= FORWARD_US)
        };
        if let Some((length_us, at_us)) = gap.filter(believed).and_then(|gap| self.within(&gap)) {
            self.found.all.add(length_us, at_us);
        }
    }

    fn settle_sound(&mut self, gap: Option<Gap>) {
        let is_steady = self.sound.as_ref().is_some_and(|lane| lane.steady);
        // A stream that is chained to another one begins at any time.
        let believed = |gap: &Gap| is_steady && (self.format != Format::Ogg || self.misses(gap.bytes, missing::in_ogg));
        if let Some((length_us, at_us)) = gap.filter(believed).and_then(|gap| self.within(&gap)) {
            let amount = if self.pictures.is_some() || self.format == Format::Indexed {
                &mut self.found.sound
            } else {
                &mut self.found.all
            };
            amount.add(length_us, at_us);
        }
    }

    /// Whether packets are lost where a new clock seems to begin; `mid_group` tells that pictures go on there without a keyframe. What is
    /// joined may begin so as well, at any time: a hole is no longer than twice of what was shown before it.
    fn is_hole(&self, jump: &Jump, mid_group: bool) -> bool {
        match self.format {
            Format::Ogg => self.misses(jump.bytes, missing::in_ogg),
            Format::Flv => self.misses(jump.bytes, missing::in_flv),
            Format::Indexed => false,
            Format::Other => mid_group && jump.length_us / 2 <= jump.shown_us,
        }
    }

    /// Whether bytes of the file are missing between two places.
    fn misses(&self, bytes: Option<(u64, u64)>, look: fn(&File, u64, u64) -> bool) -> bool {
        let place = self.source.as_ref().zip(bytes);
        place.is_some_and(|(source, (from, to))| look(source, from, to))
    }

    /// Tells what is missing where the clock was set forward.
    fn jump(&mut self, jump: Option<Jump>, packet: &Packet) {
        let time = packet.dts().or_else(|| packet.pts());
        let at_us = time
            .zip(self.base(packet.stream()))
            .map(|(time, base)| to_us(time, base));
        if let Some((jump, at_us)) = jump.zip(at_us.filter(|us| self.span_us.contains(us))) {
            self.found.all.add(jump.length_us, at_us);
        }
    }

    /// How much of a gap lies in the span, and where.
    fn within(&self, gap: &Gap) -> Option<(i64, i64)> {
        let from_us = gap.from_us.max(self.span_us.start);
        let length_us = gap.until_us.min(self.span_us.end).saturating_sub(from_us);
        (length_us >= TOUCHED_US).then_some((length_us, from_us))
    }
}

/// Formats whose packets have no times of their own: they tell of no hole.
const TIMELESS: [&str; 4] = ["avi", "mp3", "aac", "wav"];

/// The streams whose packets tell of holes: those that are made use of, and beside them pictures or sound that are only
/// looked at, unless the file cannot tell or its index tells all times already.
pub(super) fn watched(input: &Input, (pictures, sound): (Option<usize>, Option<usize>)) -> [Option<usize>; 2] {
    let tells = !TIMELESS.contains(&input.format().name());
    let best = |kind: Type| {
        let stream = input.streams().best(kind).filter(|_| tells)?;
        let is_cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
        (!is_cover && !is_indexed(input, stream.index())).then(|| stream.index())
    };
    [
        pictures.or_else(|| best(Type::Video)),
        sound.or_else(|| best(Type::Audio)),
    ]
}

/// Whether an index tells the times of all packets of a stream; fragments have none.
fn is_indexed(input: &Input, index: usize) -> bool {
    let frames = input.stream(index).map_or(0, |stream| stream.frames());
    input.format().name().starts_with("mov") && frames > 0
}
