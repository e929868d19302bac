//! Correction of timestamps and durations of packets that FFmpeg reports wrongly. It precedes the repair of
//! discontinuities.
//!
//! - *Durations.* The last packet of an Ogg Vorbis stream whose granule position is too small gets a negative duration
//!   in an unsigned field: 2^32 less a few samples. No packet of audio lasts longer than [`MAX_AUDIO_PACKET_US`].
//! - *Times before 0* in Matroska, which FFmpeg leaves out and `early_times` reads.
//! - *Sample rates.* In raw AAC (ADTS), raw FLAC and chained Ogg, the time base stays that of the first sample rate.
//!   The packets after a change count samples of the new rate in it, so their times advance too fast or too slowly.
//!   They are rescaled; the rate is read from the header in the packet. In Vorbis the durations are wrong as well,
//!   because FFmpeg takes the block sizes of the first stream: only the first packet of a page has a correct time, that
//!   of the granule position before it.
//! - *Headers inside of chained Ogg* ([`OggLinks`]).
//! - *Positions of FLAC in Ogg.* The first page after missing pages gets the times behind the last page before them.
//!   The headers of the frames tell how many samples are missing ([`FlacPositions`]).

use crate::engine::demux::flac_frames::FlacFrame;
use crate::engine::demux::flac_positions::FlacPositions;
use crate::engine::demux::ogg_links::{LinkStart, OggLinks};
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::time::to_us;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::{Packet, Rational};
use std::collections::VecDeque;

/// Longest duration of one packet of audio, in microseconds.
const MAX_AUDIO_PACKET_US: i64 = 10_000_000;

/// Sample rates by the sampling frequency index of ADTS (ISO/IEC 14496-3, table 1.18).
const ADTS_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// First bytes of an identification header.
const VORBIS: &[u8] = b"\x01vorbis";

/// Formats whose packets count samples: the container and the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Adts,
    Flac,
    Vorbis,
}

impl Counted {
    fn of(container: &str, codec: &str) -> Option<Self> {
        match (container, codec) {
            ("aac", "aac") => Some(Self::Adts),
            ("flac" | "ogg", "flac") => Some(Self::Flac),
            ("ogg", "vorbis") => Some(Self::Vorbis),
            _ => None,
        }
    }

    /// The sample rate that the header in a packet specifies, in hertz.
    fn rate_hz(self, data: &[u8]) -> Option<u32> {
        match self {
            Self::Adts => adts_hz(data),
            Self::Flac => FlacFrame::of(data).and_then(|frame| frame.rate_hz),
            Self::Vorbis => vorbis_hz(data),
        }
    }
}

/// The sample rate after a change.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Sample rate of the time base, in hertz.
    base_hz: u32,
    /// Sample rate of the packets, in hertz.
    now_hz: u32,
    /// Time of the change as FFmpeg reports it, in the time base of the stream.
    raw: i64,
    /// Corrected time of the change, in the time base of the stream.
    corrected: i64,
}

impl Rate {
    fn scaled(&self, ticks: i64) -> i64 {
        let (base, now) = (i128::from(self.base_hz), i128::from(self.now_hz.max(1)));
        i64::try_from((i128::from(ticks) * base + now / 2).div_euclid(now)).unwrap_or(i64::MAX)
    }

    fn corrected(&self, time: i64) -> i64 {
        self.corrected
            .saturating_add(self.scaled(time.saturating_sub(self.raw)))
    }
}

/// Durations of Vorbis packets after a change.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    /// Samples of a short and of a long block.
    samples: [i64; 2],
    /// Block before the next one.
    last: i64,
    /// Byte position of the page of the latest packet; `None` if that packet was a header.
    page: Option<isize>,
    /// Corrected end of the latest packet, in the time base of the stream.
    end: Option<i64>,
}

impl Blocks {
    /// Reads the block sizes of an identification header (Vorbis I specification §4.2.2).
    fn of(data: &[u8]) -> Option<Self> {
        let sizes = data.strip_prefix(VORBIS)?.get(21)?;
        let samples = [sizes & 0xf, sizes >> 4].map(|exponent| 1 << exponent);
        Some(Self {
            samples,
            last: 0,
            page: None,
            end: None,
        })
    }

    /// Returns the samples that a packet adds (§4.3.8). Encoders have two modes, the short block and the long one.
    fn add(&mut self, data: &[u8]) -> i64 {
        let [short, long] = self.samples;
        let first = data.first().copied().unwrap_or(1);
        // Headers have an odd first byte.
        if first & 1 == 1 {
            return 0;
        }
        let own = if first & 2 == 0 { short } else { long };
        let before = match (first & 2, first & 4) {
            (0, _) if self.last > 0 => self.last,
            (0, _) | (_, 0) => short,
            _ => long,
        };
        self.last = own;
        (before + own) / 4
    }
}

/// Corrects the times of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct PacketTimes {
    /// Times of the next packets, for which FFmpeg has none or guesses.
    early: VecDeque<i64>,
    is_audio: bool,
    /// `true` when frames are not decoded in the order in which they are shown.
    reorders: bool,
    counted: Option<Counted>,
    rate: Option<Rate>,
    blocks: Option<Blocks>,
    links: Option<OggLinks>,
    /// Positions of the frames, in Ogg only.
    positions: Option<FlacPositions>,
    /// `true` when the sample rate has changed.
    pub(crate) changed: bool,
}

impl PacketTimes {
    /// The times of a stream of a source.
    pub(crate) fn of(input: &Input, stream: &Stream<'_>) -> Self {
        let facts = parameters::codec_facts(&stream.parameters());
        let counted = Counted::of(input.format().name(), facts.name);
        // In FLAC and Vorbis, one unit of the time base is one sample. In ADTS it is not, and HE-AAC decodes to twice
        // the rate of its headers.
        let base_hz = u32::try_from(stream.time_base().denominator()).unwrap_or(0);
        let counts_samples =
            counted.is_some_and(|counted| counted != Counted::Adts) && stream.time_base().numerator() == 1;
        Self {
            early: VecDeque::new(),
            is_audio: facts.kind == MediaType::Audio,
            reorders: facts.reorder_delay > 0,
            counted,
            rate: counts_samples.then_some(Rate {
                base_hz,
                now_hz: base_hz,
                raw: 0,
                corrected: 0,
            }),
            blocks: None,
            links: OggLinks::of(input.format().name(), facts.name),
            positions: (input.format().name() == "ogg" && facts.name == "flac").then(FlacPositions::default),
            changed: false,
        }
    }

    /// Sets the times of the packets at the beginning of the stream.
    pub(crate) fn begin_with(&mut self, times: VecDeque<i64>) {
        self.early = times;
    }

    /// Starts again, after a seek.
    pub(crate) fn restart(&mut self) {
        self.early.clear();
        if let Some(positions) = &mut self.positions {
            *positions = FlacPositions::default();
        }
        if let Some(links) = &mut self.links {
            links.restart();
        }
    }

    /// Returns `true` if a packet is a header that its decoder must not get.
    pub(crate) fn is_undecodable(&self, packet: &Packet) -> bool {
        self.links.as_ref().is_some_and(|links| links.is_undecodable(packet))
    }

    /// Corrects the duration and the times of a packet. Returns the start of a link of a chained Ogg.
    pub(crate) fn correct(&mut self, packet: &mut Packet, base: Rational) -> Option<LinkStart> {
        if self.is_audio && to_us(packet.duration(), base) > MAX_AUDIO_PACKET_US {
            packet.set_duration(0);
        }
        if let Some(time) = self.early.pop_front() {
            packet.set_pts(Some(time));
            packet.set_dts(Some(time).filter(|_| !self.reorders));
        }
        let link = self.links.as_mut().and_then(|links| links.correct(packet));
        if let Some(positions) = &mut self.positions {
            positions.correct(packet);
        }
        let Some(counted) = self.counted else { return link };
        if let Some(now_hz) = counted.rate_hz(packet.data().unwrap_or_default()) {
            self.change_to(now_hz, packet.dts().or_else(|| packet.pts()));
        }
        if let Some(rate) = self.rate.filter(|_| self.changed) {
            packet.set_pts(packet.pts().map(|time| rate.corrected(time)));
            packet.set_dts(packet.dts().map(|time| rate.corrected(time)));
            match counted {
                Counted::Adts => packet.set_duration(rate.scaled(packet.duration())),
                Counted::Vorbis => self.count_blocks(packet, rate),
                // Its parser knows the new rate.
                Counted::Flac => {}
            }
        }
        link
    }

    /// Sets the duration of a Vorbis packet to that of its block, and its time, within a page, to the end of the packet
    /// before it.
    fn count_blocks(&mut self, packet: &mut Packet, rate: Rate) {
        let data = packet.data().unwrap_or_default();
        if let Some(blocks) = Blocks::of(data) {
            self.blocks = Some(blocks);
        }
        let Some(blocks) = &mut self.blocks else { return };
        let samples = rate.scaled(blocks.add(data));
        // FFmpeg counts back to the time of the first packet, too.
        let counted = blocks
            .end
            .filter(|_| blocks.page.is_none_or(|page| page == packet.position()));
        let time = counted.or(packet.dts());
        blocks.end = time.map(|time| time.saturating_add(samples));
        blocks.page = (samples > 0).then_some(packet.position());
        packet.set_pts(time);
        packet.set_dts(time);
        packet.set_duration(samples);
    }

    /// Records the sample rate of a packet with this time.
    fn change_to(&mut self, now_hz: u32, time: Option<i64>) {
        let rate = self.rate.get_or_insert(Rate {
            base_hz: now_hz,
            now_hz,
            raw: 0,
            corrected: 0,
        });
        if rate.now_hz != now_hz {
            let raw = time.unwrap_or(rate.raw);
            *rate = Rate {
                base_hz: rate.base_hz,
                now_hz,
                raw,
                corrected: rate.corrected(raw),
            };
            self.changed = true;
        }
    }
}

fn adts_hz(data: &[u8]) -> Option<u32> {
    match data {
        [0xff, sync, index, ..] if sync & 0xf6 == 0xf0 => ADTS_HZ.get(usize::from(index >> 2 & 0xf)).copied(),
        _ => None,
    }
}

/// Reads an identification header (Vorbis I specification §4.2.2).
fn vorbis_hz(data: &[u8]) -> Option<u32> {
    let header = data.strip_prefix(VORBIS)?;
    let hz = u32::from_le_bytes(*header.get(5..)?.first_chunk()?);
    (hz > 0).then_some(hz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_rates_are_read_from_headers_in_packets() {
        assert_eq!(adts_hz(&[0xff, 0xf1, 0x4c, 0x80, 0, 0, 0]), Some(48_000));
        assert_eq!(adts_hz(&[0xff, 0xfb, 0x90, 0x00]), None, "MP3");
        let vorbis = b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xb8\x01";
        assert_eq!(vorbis_hz(vorbis), Some(44_100));
        assert_eq!(vorbis_hz(b"\x03vorbis"), None);
        let mut blocks = Blocks::of(vorbis).unwrap();
        // A header, short, short, long after short, long after long, short after long.
        let added = [1, 0, 0, 2, 6, 0].map(|first| blocks.add(&[first]));
        assert_eq!(added, [0, 128, 128, 576, 1_024, 576]);
    }

    #[test]
    fn times_after_a_change_count_samples_of_the_new_rate() {
        let mut times = PacketTimes {
            is_audio: true,
            counted: Some(Counted::Adts),
            ..PacketTimes::default()
        };
        let base = Rational::new(1, 24_000);
        let mut read = |sampling: u8, time: i64| {
            let mut packet = Packet::copy(&[0xff, 0xf1, sampling << 2, 0x80]);
            packet.set_pts(Some(time));
            packet.set_dts(Some(time));
            packet.set_duration(1_024);
            times.correct(&mut packet, base);
            (packet.pts().unwrap(), packet.duration())
        };
        let corrected = [(6, 0), (6, 1_024), (3, 2_048), (3, 3_072), (6, 4_096), (6, 5_120)].map(|(s, t)| read(s, t));
        let expected = [
            (0, 1_024),
            (1_024, 1_024),
            (2_048, 512),
            (2_560, 512),
            (3_072, 1_024),
            (4_096, 1_024),
        ];
        assert_eq!(corrected, expected);
    }

    #[test]
    fn after_a_seek_no_header_of_before_begins_a_link() {
        let mut times = PacketTimes {
            is_audio: true,
            links: OggLinks::of("ogg", "opus"),
            ..PacketTimes::default()
        };
        let base = Rational::new(1, 48_000);
        let mut corrected = |data: &[u8], time: i64, restarts: bool| {
            if restarts {
                times.restart();
            }
            let mut packet = Packet::copy(data);
            packet.set_dts(Some(time));
            packet.set_duration(960);
            let link = times.correct(&mut packet, base);
            (packet.dts(), link.map(|link| link.dropped))
        };
        let header = b"OpusHead\x01\x02\x38\x01";
        assert_eq!(corrected(&[0xfc], 0, false), (Some(0), None));
        assert_eq!(corrected(header, 0, false), (Some(960), None));
        assert_eq!(corrected(&[0xfc], 960, false), (Some(960), Some(312)));
        assert_eq!(corrected(header, 0, false), (Some(1_920), None));
        assert_eq!(corrected(&[0xfc], 9_600, true), (Some(9_600), None));
        // The end of the packet before the seek is not that of the link before.
        assert_eq!(corrected(header, 0, true), (None, None));
    }

    #[test]
    fn no_packet_of_audio_lasts_an_hour() {
        let mut times = PacketTimes {
            is_audio: true,
            ..PacketTimes::default()
        };
        let mut packet = Packet::empty();
        packet.set_duration(4_294_907_368);
        times.correct(&mut packet, Rational::new(1, 48_000));
        assert_eq!(packet.duration(), 0);
    }
}
