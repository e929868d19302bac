//! Decoder of one stream of a source, with the times of its frames and the damage found in it.

mod damage;

use crate::engine::audio::params::{MAX_CHANNELS, SAMPLE_RATES};
use crate::engine::decode::threads;
use crate::engine::demux::container::{is_avi, keeps_first_rate};
use crate::engine::demux::header_changes::HeaderChanges;
use crate::engine::demux::nal::{Framing, recovery_frames};
use crate::engine::demux::open;
use crate::engine::demux::packet_check::PacketCheck;
use crate::engine::error::{self, AGAIN};
use crate::engine::ffi::log::{self, ReportedDamage};
use crate::engine::ffi::parameters::{self, CodecFacts};
use crate::engine::ffi::{alpha, frame, input, packet};
use crate::engine::probe::duration::{origin_us, promised_us};
use crate::engine::time::{DEFAULT_FRAME_INTERVAL_US, to_us};
use domain::limits::MOST_PIXELS;
use domain::{Code, Failure, FailureKind};
use ffmpeg_next::codec::decoder::Opened;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Dictionary, Error, Frame, Packet, Rational, codec};

/// After so many packets or pictures behind the end of the span, it has ended.
const ENOUGH_PAST: u32 = 3;

/// No container lets its streams be further apart than this.
const FAR_US: i64 = 10_000_000;

/// Missing samples are filled in up to this length, in microseconds; where more are missing, it is a gap.
const MOST_UNDECODED_US: i64 = 100_000;

/// Times of samples that are counted may be so far off, in microseconds; beyond it something is missing.
const MISCOUNTED_US: i64 = 2_000_000;

/// A stream that is decoded. Times count in microseconds on the source's own clock.
pub(crate) struct StreamDecoder {
    pub(crate) index: usize,
    pub(crate) base: Rational,
    pub(crate) facts: CodecFacts,
    /// Time from one picture to the next, on average.
    pub(crate) interval_us: i64,
    /// Where the stream begins and how long its header says it is (0 when it does not).
    pub(crate) origin_us: i64,
    pub(crate) promised_us: i64,
    /// How far it came, from the start of the span.
    pub(crate) reached_us: i64,
    /// Whether nothing more is wanted of it.
    pub(crate) ended: bool,
    /// Whether some picture so far is transparent.
    pub(crate) transparent: bool,
    /// How many packets, and how many pictures, lay behind the end of the span in a row.
    past: (u32, u32),
    decoder: Opened,
    packet_check: PacketCheck,
    headers: HeaderChanges,
    /// How much too late the times of pictures are.
    lag_us: i64,
    /// How much of the beginning could not be decoded, in microseconds, once a picture came out.
    missed_us: Option<i64>,
    /// Whether the first packets of the stream are read.
    pub(crate) from_the_start: bool,
    /// The latest time of decoding of a packet, in units of the stream.
    last_dts: Option<i64>,
    /// Whether packets tell no more of the length of a picture than the unit of their time.
    counts_slots: bool,
    /// `true` in formats that keep the time base of the first sample rate.
    keeps_first_rate: bool,
    /// Sample rate of the first samples, in hertz, and `true` when it changed later in such a format.
    first_rate_hz: Option<u32>,
    counts_samples: bool,
    /// `true` when audio did not decode since the latest samples.
    audio_broke: bool,
    /// `true` when the first packet is a keyframe; `None` until a packet was sent.
    begins_with_key: Option<bool>,
    /// `true` when the container has a sample aspect ratio.
    has_aspect: bool,
    next_us: Option<i64>,
    /// When the span begins, on the source's clock.
    pub(crate) wanted_us: i64,
    /// Packets or pictures that did not decode, and pictures of which the decoder said so.
    broken: u32,
    /// How many of the latter do not concern the span.
    passed_over: u32,
    /// When the first of them was to be decoded, on the source's clock.
    pub(crate) broken_at_us: Option<i64>,
    /// When the latest packet was to be.
    pub(crate) sent_us: i64,
    reported_damage: &'static ReportedDamage,
}

impl StreamDecoder {
    /// Opens the decoder of a stream, with fewer threads where pictures are so large that each of them costs much memory.
    ///
    /// # Errors
    /// [`Code::CodecUnsupported`] when there is none on the allow-list or it refuses the stream.
    pub(crate) fn open(input: &Input, index: usize, threads: u32) -> Result<Self, Failure> {
        let facts = input
            .stream(index)
            .map(|stream| parameters::codec_facts(&stream.parameters()));
        let threads = threads::affordable_threads(facts.map_or(0, |facts| facts.frame_bytes()), threads);
        Self::with(input, index, &[("threads", &threads.to_string())])
    }

    /// Opens the decoder of a stream to look for damage and nothing else. On several threads libavcodec gives pictures
    /// away before it knows what is wrong with them; the filter that smooths them finds nothing and is left out.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_to_check(input: &Input, index: usize) -> Result<Self, Failure> {
        Self::with(input, index, &[("threads", "1"), ("skip_loop_filter", "all")])
    }

    fn with(input: &Input, index: usize, options: &[(&str, &str)]) -> Result<Self, Failure> {
        let unsupported = |what: String| Failure::new(FailureKind::Unsupported, Code::CodecUnsupported, what);
        let stream = input
            .stream(index)
            .ok_or_else(|| error::reading("the streams", Error::StreamNotFound))?;
        let facts = parameters::codec_facts(&stream.parameters());
        let codec = open::decoder(&stream).ok_or_else(|| unsupported(format!("codec {}", facts.name)))?;
        let mut own = stream.parameters().clone();
        if keeps_first_rate(input) && facts.name == "flac" {
            parameters::allow_any_flac_block(&mut own);
        }
        let context = codec::Context::from_parameters(own);
        let mut decoder = context.map_err(|error| error::reading("the headers", error))?.decoder();
        // Decoders need it to cut the priming samples off.
        decoder.set_packet_time_base(stream.time_base());
        let reported_damage = log::count_damage(&mut decoder);
        let mut options: Dictionary<'_> = options.iter().copied().collect();
        options.set("max_pixels", &MOST_PIXELS.to_string());
        let opened = decoder.open_as_with(codec, options);
        let rates = [stream.avg_frame_rate(), stream.rate()];
        let mut sensible = rates.iter().filter(|rate| (1.0..=240.0).contains(&f64::from(**rate)));
        // AVI counts slots, some of which may be empty: the lower rate is that of the pictures.
        let sensible = if is_avi(input) {
            sensible.min_by(|a, b| f64::from(**a).total_cmp(&f64::from(**b)))
        } else {
            sensible.next()
        };
        let interval_us = sensible.map_or(DEFAULT_FRAME_INTERVAL_US, |rate| to_us(1, rate.invert()));
        // AVI tells when pictures are decoded, not when they are shown.
        let held_back = if is_avi(input) { i64::from(facts.held_back) } else { 0 };
        Ok(Self {
            index,
            base: stream.time_base(),
            packet_check: PacketCheck::of(&facts),
            headers: HeaderChanges::of(&facts, &parameters::configuration(&stream.parameters())),
            facts,
            interval_us,
            lag_us: held_back.min(16) * interval_us,
            missed_us: None,
            from_the_start: true,
            last_dts: None,
            counts_slots: is_avi(input),
            keeps_first_rate: keeps_first_rate(input),
            first_rate_hz: None,
            counts_samples: false,
            audio_broke: false,
            begins_with_key: None,
            has_aspect: input::container_aspect(&stream).0 > 0,
            origin_us: origin_us(input, Some(index)),
            promised_us: promised_us(input, &stream).unwrap_or(0),
            reached_us: 0,
            ended: false,
            transparent: false,
            past: (0, 0),
            decoder: opened.map_err(|_| unsupported(format!("codec {}", facts.name)))?,
            next_us: None,
            wanted_us: i64::MIN,
            broken: 0,
            passed_over: 0,
            broken_at_us: None,
            sent_us: origin_us(input, Some(index)),
            reported_damage,
        })
    }

    /// Whether a packet and all after it lie behind `end_us`: packets come in the order of decoding, and nothing is
    /// shown before it is decoded.
    pub(crate) fn ends_with(&mut self, packet: &Packet, end_us: Option<i64>) -> bool {
        let behind = self.is_behind(packet, end_us);
        enough(&mut self.past.0, behind)
    }

    /// Whether a packet lies so far behind the end that no other stream will have anything before it.
    pub(crate) fn is_far_past(&self, packet: &Packet, end_us: Option<i64>) -> bool {
        self.is_behind(packet, end_us.map(|end| end.saturating_add(FAR_US)))
    }

    fn is_behind(&self, packet: &Packet, end_us: Option<i64>) -> bool {
        let time = packet
            .dts()
            .map(|dts| to_us(dts, self.base).saturating_sub(self.lag_us));
        matches!((time, end_us), (Some(time), Some(end)) if time >= end)
    }

    /// Whether a picture, behind the end of the span or not, was the last of enough behind it.
    pub(crate) const fn ends_after(&mut self, behind: bool) -> bool {
        enough(&mut self.past.1, behind)
    }

    /// How long after a packet pictures are whole, in microseconds, when decoding begins with it; `None` when it cannot.
    pub(crate) fn whole_after_us(&self, packet: &Packet) -> Option<i64> {
        if !packet.is_key() {
            return None;
        }
        let hevc = match self.facts.name {
            "h264" => false,
            "hevc" => true,
            _ => return Some(0),
        };
        let framing = if self.facts.configuration == Some(1) {
            Framing::Lengths
        } else {
            Framing::StartCodes
        };
        let frames = recovery_frames(packet.data().unwrap_or_default(), framing, hevc);
        Some(i64::from(frames).saturating_mul(self.interval_us))
    }

    /// When a packet is decoded, or shown, on the source's clock.
    pub(crate) fn packet_us(&self, packet: &Packet) -> Option<i64> {
        let time = packet.dts().or_else(|| packet.pts())?;
        Some(to_us(time, self.base))
    }

    /// Notes a packet that was read.
    pub(crate) fn note(&mut self, packet: &Packet) {
        self.last_dts = self.last_dts.max(packet.dts());
        self.sent_us = self.packet_us(packet).unwrap_or(self.sent_us);
    }

    /// Where the stream ends by its index, on the source's clock, when it was read to its last packet. The length of the
    /// last picture is known by it: packets carry lengths in the order of decoding.
    pub(crate) fn end_by_index(&self, input: &Input) -> Option<i64> {
        if !input.format().name().starts_with("mov") {
            return None;
        }
        let last = packet::last_entry(input, self.index)?;
        // A fragmented file has no table of its own, and its length may be a number that stands for none.
        let stream = input.stream(self.index).filter(|stream| stream.frames() > 0)?;
        let length_us = promised_us(input, &stream)?;
        let read_on = self.last_dts.is_some_and(|dts| dts >= last.time);
        read_on.then(|| self.origin_us.saturating_add(length_us))
    }

    /// Notes how far a packet reaches that nobody wants decoded; the span begins at `start_us`.
    pub(crate) fn pass(&mut self, packet: &Packet, start_us: i64) {
        let at = packet.pts().or_else(|| packet.dts());
        let until = at.map(|at| to_us(at.saturating_add(packet.duration().max(0)), self.base));
        let reached = until.map_or(0, |until| until.saturating_sub(start_us));
        self.reached_us = self.reached_us.max(reached);
    }

    /// Looks at the headers in a packet, whoever wants it.
    pub(crate) fn look_at_headers(&mut self, packet: &Packet) {
        self.headers.look_at(packet);
    }

    /// Whether the headers of its packets changed.
    pub(crate) const fn headers_changed(&self) -> bool {
        self.headers.have_changed()
    }

    /// Looks at a packet that is copied for damage that can be told without decoding.
    pub(crate) fn look_at(&mut self, packet: &Packet) {
        if packet.is_corrupt() || !self.packet_check.holds(packet) {
            self.breaks();
        }
    }

    /// Gives the decoder a packet, or the end. What it refuses is counted and left out.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) {
        if let Some(packet) = packet {
            self.begins_with_key.get_or_insert(packet.is_key());
        }
        let sent = match packet {
            Some(packet) => self.decoder.send_packet(packet),
            None => self.decoder.send_eof(),
        };
        if sent.is_err() && packet.is_some() {
            self.breaks();
        }
    }

    /// Takes a picture or samples; `false` when there are none at the moment.
    ///
    /// # Errors
    /// When memory ends. Damage is counted.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> Result<bool, Failure> {
        // A broken packet may be followed by good ones, but the same error must not come for ever.
        for _ in 0..16 {
            match self.decoder.receive_frame(frame) {
                Ok(()) => {
                    if frame.has_decode_errors() || frame.is_corrupt() {
                        self.breaks();
                    }
                    return Ok(true);
                }
                Err(Error::Eof) => return Ok(false),
                Err(error) if error == AGAIN => return Ok(false),
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::ENOMEM => {
                    return Err(error::reading("decoding", Error::Other { errno }));
                }
                Err(_) => self.breaks(),
            }
        }
        Ok(false)
    }

    /// Sets the color that the container specifies where the picture has none, and clears the picture's sample aspect ratio
    /// where the container has one, which takes precedence.
    pub(crate) fn apply_container_facts(&self, frame: &mut Video) {
        let own = frame::shape(frame).color;
        let both = own.or(self.facts.color);
        if both != own {
            frame::set_color(frame, both);
        }
        if self.has_aspect {
            frame::forget_aspect(frame);
        }
    }

    /// Notes whether a picture is transparent.
    pub(crate) fn look_through(&mut self, frame: &Video) {
        self.transparent = self.transparent || alpha::is_transparent(frame);
    }

    /// When a picture is shown, and for about how long.
    pub(crate) fn time(&mut self, frame: &Video) -> (i64, i64) {
        let told = frame.packet().duration;
        let duration = if told > 0 {
            let told_us = to_us(told, self.base);
            if self.counts_slots {
                told_us.max(self.interval_us)
            } else {
                told_us
            }
        } else {
            self.interval_us
        };
        let told = frame
            .timestamp()
            .map(|time| to_us(time, self.base).saturating_sub(self.lag_us));
        let at = told.or(self.next_us).unwrap_or(self.origin_us);
        self.next_us = Some(at.saturating_add(duration));
        (at, duration)
    }

    /// Whether samples are like those of the header, or at least something that a header could tell. Others are counted
    /// as damage.
    pub(crate) fn is_valid_audio(&mut self, audio: &Audio) -> bool {
        let channels = u32::from(audio.channels());
        let sane = SAMPLE_RATES.contains(&audio.rate()) && (1..=MAX_CHANNELS).contains(&channels);
        if !sane {
            self.breaks();
        }
        sane
    }

    /// When samples are heard, and for how long.
    pub(crate) fn audio_time(&mut self, audio: &Audio) -> (i64, i64) {
        let rate = i64::from(audio.rate().max(1));
        let duration = i64::try_from(audio.samples()).unwrap_or(0) * 1_000_000 / rate;
        let changed = *self.first_rate_hz.get_or_insert(audio.rate()) != audio.rate();
        self.counts_samples |= self.keeps_first_rate && changed;
        let told = audio.timestamp().map(|time| to_us(time, self.base));
        let is_near = |next: &i64| told.is_none_or(|told| (told - next).abs() < MISCOUNTED_US);
        let counted = self.next_us.filter(|_| self.counts_samples).filter(is_near);
        let at = counted.or(told).or(self.next_us).unwrap_or(self.origin_us);
        self.next_us = Some(at.saturating_add(duration));
        (at, duration)
    }

    /// How many samples a gap of `missing_us` before these ones has when a packet in it did not decode. The FIFO would take so few for
    /// jitter.
    pub(crate) fn missing_samples(&mut self, audio: &Audio, missing_us: i64) -> usize {
        // Packets of other codecs may give less than they last after damage, and more later.
        let fills = self.facts.name == "aac" && missing_us <= MOST_UNDECODED_US;
        let broke = std::mem::take(&mut self.audio_broke) && fills;
        let samples = missing_us.saturating_mul(i64::from(audio.rate())) / 1_000_000;
        usize::try_from(samples).ok().filter(|_| broke).unwrap_or(0)
    }

    /// Where the samples decoded last end, on the source's clock.
    pub(crate) const fn decoded_until_us(&self) -> Option<i64> {
        self.next_us
    }

    /// Forgets what was decoded, before something else than the next packet is.
    pub(crate) fn restart(&mut self) {
        self.decoder.flush();
        self.next_us = None;
    }
}

/// Counts what lies behind the end in a row: one alone may only have a wrong time.
const fn enough(count: &mut u32, behind: bool) -> bool {
    *count = if behind { *count + 1 } else { 0 };
    *count >= ENOUGH_PAST
}
