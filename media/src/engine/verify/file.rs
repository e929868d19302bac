//! Verification of a file: reads all packets, and decodes the first and the last GOP, or everything.
//!
//! The head and the tail are read in parallel with a demuxer each; the thread of the tail also probes. The head reads
//! the whole file: it counts frames, sums up digests of copied packets, and feeds the peak check, but decodes the first
//! GOP only. The tail seeks to the last keyframe and decodes to the end, because truncation and late errors of an
//! encoder are found there. Decoders run on one thread, since libavcodec with several threads returns frames before it
//! knows their errors.

use crate::engine::cancel::Cancel;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::container::is_mp4;
use crate::engine::demux::mp4::BoxHeader;
use crate::engine::demux::open::{self, find_decoder};
use crate::engine::demux::packets::next_packet;
use crate::engine::error::{self, invalid_output};
use crate::engine::ffi::packet::is_hidden;
use crate::engine::file_bytes::{length, read};
use crate::engine::mux::packet_digest::PacketDigest;
use crate::engine::paths::output_path;
use crate::engine::probe::{self, headers};
use crate::engine::time::to_us;
use crate::engine::verify::options::VerifyOptions;
use crate::engine::verify::peak_check::PeakCheck;
use domain::Failure;
use domain::probe::StreamKind;
use domain::protocol::{Copied, FileFacts, VerifyDepth};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Frame, Packet};
use std::fs::File;
use std::path::Path;
use std::{io, thread};

/// Duration of audio in microseconds that is decoded at each end of a file without video.
const DECODED_AUDIO_US: i64 = 2_000_000;

/// Measures a single file.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] if it cannot be opened.
pub(crate) fn check_file(scratch: &Path, file: &str, options: &VerifyOptions<'_>) -> Result<FileFacts, Failure> {
    let source = File::open(output_path(scratch, file)?);
    let source = source.map_err(|error| error::unreadable_output(file, &error, "is missing"))?;
    let bytes = length(&source);
    let open = || open::open_output(&source, options.cancel).map_err(|_| invalid_output(file, "cannot be opened"));
    let checked = check_input(&open, bytes, options)?;
    let is_truncated = checked.probe.container == "jpeg_pipe" && !has_jpeg_end(&source, bytes);
    Ok(FileFacts {
        index_first: !is_mp4(&checked.probe.container) || is_index_first(&source).unwrap_or(false),
        decode_errors: checked.decode_errors + u32::from(is_truncated),
        ..checked
    })
}

/// Returns `true` if a JPEG ends with its end marker (EOI, ITU-T T.81). The decoder fills missing pixels with gray and
/// reports no error.
fn has_jpeg_end(file: &File, bytes: u64) -> bool {
    read(file, bytes.saturating_sub(2)).is_ok_and(|end| end == [0xff, 0xd9])
}

/// Measures an input of `bytes` bytes. `open` opens it anew each time, and reads its headers only.
///
/// # Errors
/// The input cannot be opened, probed or read.
pub(crate) fn check_input<O>(open: &O, bytes: u64, options: &VerifyOptions<'_>) -> Result<FileFacts, Failure>
where
    O: Fn() -> Result<Input, Failure> + Sync,
{
    let VerifyOptions { depth, cancel, .. } = *options;
    let (head, tail) = thread::scope(|scope| {
        let tail = thread::Builder::new().spawn_scoped(scope, || {
            let mut input = open()?;
            open::read_stream_info(&mut input).map_err(|error| error::read_failure("the headers", error))?;
            let probe = probe::read(&mut input, bytes, cancel)?;
            let errors = match depth {
                VerifyDepth::Fast => OutputReader::open(input)?.read_tail(cancel)?,
                VerifyDepth::Full => 0,
            };
            Ok((probe, errors))
        });
        // The head opens the file itself: a seek to the start finds the first frame, but not the audio before it.
        let head = open().and_then(OutputReader::open_headers);
        let head = head.and_then(|reader| reader.read_all(options));
        (head, error::join(tail))
    });
    let ((mut probe, tail_errors), head) = (tail?, head?);
    if probe.main_video().is_none() {
        // The header of a truncated MP3 still has the full duration; the packets do not.
        probe.duration_us = probe.duration_us.min(head.audio_us);
    }
    Ok(FileFacts {
        probe,
        index_first: true,
        starts_with_keyframe: head.starts_with_keyframe,
        frames: head.frames,
        decode_errors: head.errors + tail_errors,
        peak_permille: head.peak_permille,
        copied: head.copied,
    })
}

/// Decodes a whole input. Returns the number of decode errors.
pub(crate) fn count_decode_errors(input: Input, cancel: &Cancel) -> Result<u32, Failure> {
    let mut reader = OutputReader::open_headers(input)?;
    while let Some(packet) = next_packet(&mut reader.input, cancel)? {
        reader.decode(Some(&packet))?;
    }
    reader.decode(None)?;
    Ok(reader.errors())
}

/// Returns `true` if the `moov` box comes before the `mdat` box of an MP4 (fast start; ISO/IEC 14496-12).
fn is_index_first(file: &File) -> io::Result<bool> {
    let (mut at, length) = (0, length(file));
    loop {
        let header = BoxHeader::read(file, at, length)?;
        match &header.name {
            b"moov" => return Ok(true),
            b"mdat" => return Ok(false),
            _ => at = header.body.end,
        }
    }
}

/// Measurements of the head reader.
struct Head {
    /// Number of shown frames, counted from packets.
    frames: u64,
    starts_with_keyframe: bool,
    /// End of the last audio packet in microseconds.
    audio_us: u64,
    /// Number of decode errors in the decoded part.
    errors: u32,
    /// Audio peak at the reported time.
    peak_permille: Option<u32>,
    copied: Copied,
}

/// An output with decoders for its first video and audio stream.
struct OutputReader {
    input: Input,
    video: Option<StreamDecoder>,
    audio: Option<StreamDecoder>,
}

impl OutputReader {
    /// Opens the decoders of an input of which only the headers were read.
    fn open_headers(mut input: Input) -> Result<Self, Failure> {
        open::read_stream_info_to_decode(&mut input).map_err(|error| error::read_failure("the headers", error))?;
        Self::open(input)
    }

    fn open(input: Input) -> Result<Self, Failure> {
        let probe = headers::read_headers(&input, 0);
        let first = |wanted: fn(&StreamKind) -> bool| {
            // The pixel format is known only after packets were read, so `Stream::decodable` does not tell.
            let mut found = probe.streams.iter().filter(|stream| wanted(&stream.kind));
            let found = found.find_map(|stream| input.stream(stream.index).filter(has_decoder));
            found
                .map(|stream| StreamDecoder::open_to_check(&input, stream.index()))
                .transpose()
        };
        let (video, audio) = (
            first(|kind| matches!(kind, StreamKind::Video(_)))?,
            first(|kind| matches!(kind, StreamKind::Audio(_)))?,
        );
        Ok(Self { input, video, audio })
    }

    /// Reads all packets. Decodes the first GOP, or the first audio of a file without video, or everything.
    fn read_all(mut self, options: &VerifyOptions<'_>) -> Result<Head, Failure> {
        let VerifyOptions { report, depth, cancel } = *options;
        let (mut frames, mut gops) = (0, 0);
        // Of the first frame in the file, also if an edit list hides it.
        let mut starts_with_keyframe = None;
        let mut audio_us = 0;
        let mut peak_check = match (&self.audio, report.audio_peak) {
            (Some(decoder), Some(peak)) => Some(PeakCheck::open(&self.input, decoder.index, peak)?),
            _ => None,
        };
        let mut video_digest = report.copied.video.map(|_| PacketDigest::default());
        let mut audio_digest = report.copied.audio.map(|_| PacketDigest::default());
        while let Some(packet) = next_packet(&mut self.input, cancel)? {
            let is_video_packet = self.is_video_packet(&packet);
            let digest = if is_video_packet {
                &mut video_digest
            } else {
                &mut audio_digest
            };
            if let Some(digest) = digest {
                digest.add(&packet);
            }
            if is_video_packet {
                starts_with_keyframe.get_or_insert(packet.is_key());
                frames += u64::from(!is_hidden(&packet));
                gops += u32::from(packet.is_key());
            } else if let Some(decoder) = &self.audio {
                let end_us = self
                    .time_us(&packet)
                    .saturating_add(to_us(packet.duration(), decoder.time_base));
                audio_us = audio_us.max(u64::try_from(end_us).unwrap_or(0));
            }
            if let Some(peak_check) = &mut peak_check {
                peak_check.push(&packet)?;
            }
            let is_decoded = if depth == VerifyDepth::Full {
                true
            } else if self.video.is_some() {
                gops <= 1
            } else {
                self.time_us(&packet) <= DECODED_AUDIO_US
            };
            if is_decoded {
                self.decode(Some(&packet))?;
            }
        }
        self.decode(None)?;
        Ok(Head {
            frames,
            starts_with_keyframe: starts_with_keyframe.unwrap_or(self.video.is_none()),
            audio_us,
            errors: self.errors(),
            peak_permille: peak_check.map(PeakCheck::finish).transpose()?,
            copied: Copied {
                video: video_digest.as_ref().map(PacketDigest::digest),
                audio: audio_digest.as_ref().map(PacketDigest::digest),
            },
        })
    }

    /// Decodes the last GOP, or the last audio of a file without video. Returns the number of decode errors; 0 without
    /// decoding if the file has one GOP, which the head decodes.
    fn read_tail(mut self, cancel: &Cancel) -> Result<u32, Failure> {
        let target_us = match &self.video {
            Some(_) => self.input.duration(),
            // If the duration is unknown, it is the smallest number, and the target stays negative.
            None => self.input.duration().saturating_sub(DECODED_AUDIO_US),
        };
        if target_us <= 0 || self.input.seek(target_us, ..target_us).is_err() {
            return Ok(0);
        }
        while let Some(packet) = next_packet(&mut self.input, cancel)? {
            if self.is_video_packet(&packet) && self.is_first_frame(&packet) {
                return Ok(0);
            }
            self.decode(Some(&packet))?;
        }
        self.decode(None)?;
        Ok(self.errors())
    }

    fn is_video_packet(&self, packet: &Packet) -> bool {
        self.video
            .as_ref()
            .is_some_and(|decoder| decoder.index == packet.stream())
    }

    /// Returns the pts of a packet in microseconds, or its dts if it has none.
    fn time_us(&self, packet: &Packet) -> i64 {
        let time = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
        let decoders = [&self.video, &self.audio];
        let decoder = decoders
            .into_iter()
            .flatten()
            .find(|decoder| decoder.index == packet.stream());
        decoder.map_or(0, |decoder| to_us(time, decoder.time_base))
    }

    /// Returns `true` if a video packet is the first frame of the file.
    fn is_first_frame(&self, packet: &Packet) -> bool {
        let start_us = self.video.as_ref().map_or(0, |decoder| decoder.start_us);
        self.time_us(packet) <= start_us
    }

    /// Decodes a packet of either stream and discards the frames. `None` drains the decoders.
    fn decode(&mut self, packet: Option<&Packet>) -> Result<(), Failure> {
        let is_for = |decoder: &StreamDecoder| packet.is_none_or(|packet| packet.stream() == decoder.index);
        if let Some(decoder) = self.video.as_mut().filter(|decoder| is_for(decoder)) {
            decoder.send(packet)?;
            discard_frames(decoder, &mut Video::empty())?;
        }
        if let Some(decoder) = self.audio.as_mut().filter(|decoder| is_for(decoder)) {
            decoder.send(packet)?;
            discard_frames(decoder, &mut Audio::empty())?;
        }
        Ok(())
    }

    fn errors(&self) -> u32 {
        [&self.video, &self.audio]
            .into_iter()
            .flatten()
            .map(StreamDecoder::damage_count)
            .sum()
    }
}

fn has_decoder(stream: &Stream<'_>) -> bool {
    find_decoder(stream).is_some()
}

fn discard_frames(decoder: &mut StreamDecoder, frame: &mut Frame) -> Result<(), Failure> {
    while decoder.receive(frame)? {}
    Ok(())
}
