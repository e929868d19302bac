//! Decoder of one stream of a source: sends packets to libavcodec, determines the times of frames and samples, detects
//! the end of the span, and counts damage ([`damage`]).
//!
//! Damage is never an error: packets that do not decode are counted and skipped. It is detected in four ways: by errors
//! of the decoder, by flags of decoded frames, by messages of the decoder ([`ReportedDamage`]), and for packets that
//! are only copied by checks of their structure ([`PacketCheck`]).

mod audio_time;
mod damage;
mod headers;

use self::headers::{decoder_parameters, frame_interval_us};
use crate::engine::audio::params::{MAX_CHANNELS, SAMPLE_RATES_HZ};
use crate::engine::decode::threads;
use crate::engine::demux::container::{is_avi, is_mp4, keeps_first_rate};
use crate::engine::demux::header_changes::HeaderChanges;
use crate::engine::demux::nal::{NalFraming, recovery_frames};
use crate::engine::demux::open;
use crate::engine::demux::packet_check::PacketCheck;
use crate::engine::error::{self, AGAIN};
use crate::engine::ffi::log::{self, ReportedDamage};
use crate::engine::ffi::parameters::{self, CodecFacts};
use crate::engine::ffi::{alpha, frame, input, packet};
use crate::engine::probe::duration::{first_timestamp_us, stream_duration_us};
use crate::engine::shortage;
use crate::engine::time::to_us;
use domain::limits::MAX_FRAME_PIXELS;
use domain::{Code, Failure};
use ffmpeg_next::codec::decoder::Opened;
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Dictionary, Error, Frame, Packet, Rational, codec};

/// Number of consecutive packets or frames behind the end of the span that end it. A single one may have a wrong
/// timestamp.
const MIN_PAST_END: u32 = 3;

/// Maximum distance between packets of two streams at the same position of a file, in microseconds.
const MAX_INTERLEAVING_US: i64 = 10_000_000;

/// A stream that is decoded. Times are source times in microseconds, unless stated otherwise.
pub(crate) struct StreamDecoder {
    pub(crate) index: usize,
    pub(crate) time_base: Rational,
    pub(crate) facts: CodecFacts,
    /// Average time between two frames.
    pub(crate) interval_us: i64,
    /// Start of the stream.
    pub(crate) start_us: i64,
    /// Duration of the stream by its header; 0 when the header has none.
    pub(crate) header_duration_us: i64,
    /// End of the last delivered frame or sample, in part time.
    pub(crate) reached_us: i64,
    /// `true` when no more frames or samples are needed.
    pub(crate) ended: bool,
    /// `true` when a frame so far has transparent pixels.
    pub(crate) transparent: bool,
    /// Consecutive packets behind the end of the span.
    packets_past_end: u32,
    /// Consecutive frames behind the end of the span.
    frames_past_end: u32,
    decoder: Opened,
    packet_check: PacketCheck,
    header_changes: HeaderChanges,
    /// Delay of frame times caused by reordering, where packets have decoding times only.
    reorder_delay_us: i64,
    /// Duration before the first frame that could not be decoded; `None` until the first frame.
    missed_start_us: Option<i64>,
    /// `true` when reading begins at the first packet of the stream.
    pub(crate) reads_from_start: bool,
    /// Latest decoding time of a packet, in the time base of the stream.
    last_dts: Option<i64>,
    /// `true` for AVI, where packets fill slots of constant duration: the duration of a packet is that of a slot, not
    /// of a frame.
    counts_slots: bool,
    /// `true` in formats that keep the time base of the first sample rate.
    keeps_first_rate: bool,
    /// Sample rate of the first samples, in hertz.
    first_rate_hz: Option<u32>,
    /// `true` when the sample rate has changed in such a format: times are counted in samples.
    counts_samples: bool,
    /// `true` when audio did not decode since the latest samples.
    has_undecoded_audio: bool,
    /// `true` when the first packet is a keyframe; `None` until a packet was sent.
    starts_with_keyframe: Option<bool>,
    /// `true` when the container has a sample aspect ratio.
    container_has_aspect: bool,
    /// Expected time of the next frame or samples, for those without a timestamp.
    expected_us: Option<i64>,
    /// Start of the span.
    pub(crate) span_start_us: i64,
    /// Packets and frames that did not decode, without those that the decoder reported in messages.
    damage_count: u32,
    /// Number of damaged frames before the span, by messages of the decoder.
    damage_before_span: u32,
    /// Decoding time of the first damaged packet.
    pub(crate) first_damage_us: Option<i64>,
    /// Decoding time of the last packet.
    pub(crate) last_packet_us: i64,
    reported_damage: &'static ReportedDamage,
}

impl StreamDecoder {
    /// Opens the decoder of a stream with at most `threads` threads; fewer for large frames, see
    /// [`threads`](mod@threads).
    ///
    /// # Errors
    /// [`Code::CodecUnsupported`] when the allow-list has no decoder for the codec, or the decoder refuses the stream.
    pub(crate) fn open(input: &Input, index: usize, threads: u32) -> Result<Self, Failure> {
        let facts = input
            .stream(index)
            .map(|stream| parameters::codec_facts(&stream.parameters()));
        let threads = threads::affordable_threads(facts.map_or(0, |facts| facts.frame_bytes()), threads);
        Self::open_with(input, index, &[("threads", &threads.to_string())])
    }

    /// Opens the decoder of a stream for verification only. It has one thread, because libavcodec with frame threads
    /// may return frames before their damage is known. The loop filter detects no damage and is skipped.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_to_check(input: &Input, index: usize) -> Result<Self, Failure> {
        Self::open_with(input, index, &[("threads", "1"), ("skip_loop_filter", "all")])
    }

    fn open_with(input: &Input, index: usize, options: &[(&str, &str)]) -> Result<Self, Failure> {
        let unsupported = |what: String| Failure::new(Code::CodecUnsupported, what);
        let stream = input
            .stream(index)
            .ok_or_else(|| error::read_failure("the streams", Error::StreamNotFound))?;
        let facts = parameters::codec_facts(&stream.parameters());
        let codec = open::find_decoder(&stream).ok_or_else(|| unsupported(format!("codec {}", facts.name)))?;
        let parameters = decoder_parameters(input, &stream, &facts);
        let context = codec::Context::from_parameters(parameters);
        let mut decoder = context
            .map_err(|error| error::read_failure("the headers", error))?
            .decoder();
        // Decoders need the time base to cut off priming samples.
        decoder.set_packet_time_base(stream.time_base());
        let reported_damage = log::count_damage(&mut decoder);
        let mut options: Dictionary<'_> = options.iter().copied().collect();
        options.set("max_pixels", &MAX_FRAME_PIXELS.to_string());
        let opened = decoder.open_as_with(codec, options);
        let interval_us = frame_interval_us(input, &stream);
        // AVI stores decoding order without presentation times.
        let reorder_frames = if is_avi(input) {
            i64::from(facts.reorder_delay)
        } else {
            0
        };
        Ok(Self {
            index,
            time_base: stream.time_base(),
            packet_check: PacketCheck::of(&facts),
            header_changes: HeaderChanges::of(&facts, &parameters::extradata(&stream.parameters())),
            facts,
            interval_us,
            reorder_delay_us: reorder_frames.min(16) * interval_us,
            missed_start_us: None,
            reads_from_start: true,
            last_dts: None,
            counts_slots: is_avi(input),
            keeps_first_rate: keeps_first_rate(input),
            first_rate_hz: None,
            counts_samples: false,
            has_undecoded_audio: false,
            starts_with_keyframe: None,
            container_has_aspect: input::container_sample_aspect(&stream).0 > 0,
            start_us: first_timestamp_us(input, Some(index)),
            header_duration_us: stream_duration_us(input, &stream).unwrap_or(0),
            reached_us: 0,
            ended: false,
            transparent: false,
            packets_past_end: 0,
            frames_past_end: 0,
            decoder: opened.map_err(|error| {
                shortage::check_open_error(error);
                unsupported(format!("codec {}", facts.name))
            })?,
            expected_us: None,
            span_start_us: i64::MIN,
            damage_count: 0,
            damage_before_span: 0,
            first_damage_us: None,
            last_packet_us: first_timestamp_us(input, Some(index)),
            reported_damage,
        })
    }

    /// Counts a packet and returns `true` when it and all later ones are behind `end_us`: packets come in decoding
    /// order, and frames are never shown before they are decoded.
    pub(crate) fn count_packet_past_end(&mut self, packet: &Packet, end_us: Option<i64>) -> bool {
        let behind = self.is_behind(packet, end_us);
        has_ended(&mut self.packets_past_end, behind)
    }

    /// Returns `true` when a packet is so far behind the end that no other stream has a packet before the end any more.
    pub(crate) fn is_far_past(&self, packet: &Packet, end_us: Option<i64>) -> bool {
        self.is_behind(packet, end_us.map(|end| end.saturating_add(MAX_INTERLEAVING_US)))
    }

    fn is_behind(&self, packet: &Packet, end_us: Option<i64>) -> bool {
        let time = packet
            .dts()
            .map(|dts| to_us(dts, self.time_base).saturating_sub(self.reorder_delay_us));
        matches!((time, end_us), (Some(time), Some(end)) if time >= end)
    }

    /// Counts a frame and returns `true` when it and all later ones are behind the end of the span.
    pub(crate) const fn count_frame_past_end(&mut self, behind: bool) -> bool {
        has_ended(&mut self.frames_past_end, behind)
    }

    /// Time from a packet to the first complete frame when decoding begins with it, in microseconds: 0 for a keyframe,
    /// more for a recovery point SEI (intra refresh). `None` when decoding cannot begin there.
    pub(crate) fn recovery_us(&self, packet: &Packet) -> Option<i64> {
        if !packet.is_key() {
            return None;
        }
        let hevc = match self.facts.name {
            "h264" => false,
            "hevc" => true,
            _ => return Some(0),
        };
        let framing = if self.facts.extradata_first_byte == Some(1) {
            NalFraming::Lengths
        } else {
            NalFraming::StartCodes
        };
        let frames = recovery_frames(packet.data().unwrap_or_default(), framing, hevc);
        Some(i64::from(frames).saturating_mul(self.interval_us))
    }

    /// Decoding time of a packet, or its presentation time when it has none.
    pub(crate) fn packet_us(&self, packet: &Packet) -> Option<i64> {
        let time = packet.dts().or_else(|| packet.pts())?;
        Some(to_us(time, self.time_base))
    }

    /// Records the times of a packet that was read.
    pub(crate) fn record_packet(&mut self, packet: &Packet) {
        self.last_dts = self.last_dts.max(packet.dts());
        self.last_packet_us = self.packet_us(packet).unwrap_or(self.last_packet_us);
    }

    /// End of the stream by the sample table of an MP4, once it was read to its last packet. The durations of packets
    /// are those of decoding order, so the duration of the last shown frame follows only from the duration of the
    /// stream.
    pub(crate) fn end_by_index(&self, input: &Input) -> Option<i64> {
        if !is_mp4(input.format().name()) {
            return None;
        }
        let last = packet::last_index_entry(input, self.index)?;
        // A fragmented file has no sample table, and its duration may be a placeholder.
        let stream = input.stream(self.index).filter(|stream| stream.frames() > 0)?;
        let duration_us = stream_duration_us(input, &stream)?;
        let is_read = self.last_dts.is_some_and(|dts| dts >= last.time);
        is_read.then(|| self.start_us.saturating_add(duration_us))
    }

    /// Records the end of a packet that is copied or may be skipped by sampled decoding. `start_us` is the start of the
    /// span.
    pub(crate) fn skip_packet(&mut self, packet: &Packet, start_us: i64) {
        let at = packet.pts().or_else(|| packet.dts());
        let until = at.map(|at| to_us(at.saturating_add(packet.duration().max(0)), self.time_base));
        let reached = until.map_or(0, |until| until.saturating_sub(start_us));
        self.reached_us = self.reached_us.max(reached);
    }

    /// Looks for changed parameter sets in a packet.
    pub(crate) fn detect_header_change(&mut self, packet: &Packet) {
        self.header_changes.check(packet);
    }

    /// Returns `true` when the parameter sets in the packets changed.
    pub(crate) const fn headers_changed(&self) -> bool {
        self.header_changes.have_changed()
    }

    /// Checks a packet that is only copied for damage that can be detected without decoding.
    pub(crate) fn check_packet(&mut self, packet: &Packet) {
        if packet.is_corrupt() || !self.packet_check.is_valid(packet) {
            self.count_damage();
        }
    }

    /// Sends a packet to the decoder; `None` drains it. Packets that it refuses are counted as damage.
    ///
    /// # Errors
    /// When memory is exhausted.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> Result<(), Failure> {
        if let Some(packet) = packet {
            self.starts_with_keyframe.get_or_insert(packet.is_key());
        }
        let sent = match packet {
            Some(packet) => self.decoder.send_packet(packet),
            None => self.decoder.send_eof(),
        };
        match sent {
            Err(error @ Error::Other { errno: ENOMEM }) => return Err(error::read_failure("decoding", error)),
            Err(_) if packet.is_some() => self.count_damage(),
            _ => {}
        }
        Ok(())
    }

    /// Receives a frame or samples; `false` when the decoder needs more packets or is drained. Damage is counted.
    ///
    /// # Errors
    /// When memory is exhausted.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> Result<bool, Failure> {
        // Good frames may follow an error, but a decoder that only returns errors must not loop forever.
        for _ in 0..16 {
            match self.decoder.receive_frame(frame) {
                Ok(()) => {
                    if frame.has_decode_errors() || frame.is_corrupt() {
                        self.count_damage();
                    }
                    return Ok(true);
                }
                Err(Error::Eof) => return Ok(false),
                Err(error) if error == AGAIN => return Ok(false),
                Err(error @ Error::Other { errno: ENOMEM }) => return Err(error::read_failure("decoding", error)),
                Err(_) => self.count_damage(),
            }
        }
        Ok(false)
    }

    /// Sets the color that the container specifies where the frame has none, and clears the frame's sample aspect
    /// ratio where the container has one, which takes precedence.
    pub(crate) fn apply_container_facts(&self, frame: &mut Video) {
        let frame_color = frame::frame_format(frame).color;
        let color = frame_color.or(self.facts.color);
        if color != frame_color {
            frame::set_color(frame, color);
        }
        if self.container_has_aspect {
            frame::clear_sample_aspect(frame);
        }
    }

    /// Records if a frame has transparent pixels.
    pub(crate) fn detect_alpha(&mut self, frame: &Video) {
        self.transparent = self.transparent || alpha::is_transparent(frame);
    }

    /// Presentation time and approximate duration of a frame.
    pub(crate) fn frame_time(&mut self, frame: &Video) -> (i64, i64) {
        let stated = frame.packet().duration;
        let duration = if stated > 0 {
            let stated_us = to_us(stated, self.time_base);
            if self.counts_slots {
                stated_us.max(self.interval_us)
            } else {
                stated_us
            }
        } else {
            self.interval_us
        };
        let stated = frame
            .timestamp()
            .map(|time| to_us(time, self.time_base).saturating_sub(self.reorder_delay_us));
        let at = stated.or(self.expected_us).unwrap_or(self.start_us);
        self.expected_us = Some(at.saturating_add(duration));
        (at, duration)
    }

    /// Returns `true` when sample rate and channels of decoded samples are in the supported range. Others are counted
    /// as damage.
    pub(crate) fn is_valid_audio(&mut self, audio: &Audio) -> bool {
        let channels = u32::from(audio.channels());
        let is_valid = SAMPLE_RATES_HZ.contains(&audio.rate()) && (1..=MAX_CHANNELS).contains(&channels);
        if !is_valid {
            self.count_damage();
        }
        is_valid
    }

    /// Flushes the decoder, before a packet that does not follow the last one.
    pub(crate) fn flush(&mut self) {
        self.decoder.flush();
        self.expected_us = None;
    }
}

/// Counts consecutive items behind the end and returns `true` when they are [`MIN_PAST_END`].
const fn has_ended(count: &mut u32, behind: bool) -> bool {
    *count = if behind { *count + 1 } else { 0 };
    *count >= MIN_PAST_END
}
