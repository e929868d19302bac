//! Verifies a finished file: opens it again, reads its packets and decodes both ends of it, or all of it.

use crate::engine::cancel::Cancel;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::demux::open;
use crate::engine::demux::packets::next_packet;
use crate::engine::error::invalid_output;
use crate::engine::ffi::packet::is_hidden;
use crate::engine::mux::packet_digest::PacketDigest;
use crate::engine::paths::output_path;
use crate::engine::probe::{self, headers};
use crate::engine::time::to_us;
use crate::engine::verify::peak_check::PeakCheck;
use domain::Failure;
use domain::probe::StreamKind;
use domain::protocol::{CheckedFile, Copied, Depth, Made};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Frame, Packet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::{io, thread};

/// How much sound is decoded at either end of a file without pictures.
const AUDIO_US: i64 = 2_000_000;

/// Reads facts, structure and both ends of a file of ours, and looks for what its maker told of.
///
/// # Errors
/// [`Code::OutputInvalid`] when it cannot be opened.
pub(crate) fn check_file(
    scratch: &Path,
    file: &str,
    made: &Made,
    depth: Depth,
    cancel: &Cancel,
) -> Result<CheckedFile, Failure> {
    let source = File::open(output_path(scratch, file)?).map_err(|_| invalid_output(file, "is not there"))?;
    let bytes = source.metadata().map_or(0, |metadata| metadata.len());
    let open = || open::open_output(&source, cancel).map_err(|_| invalid_output(file, "cannot be opened"));
    let checked = check_input(&open, bytes, made, depth, cancel)?;
    let cut_off = checked.probe.container == "jpeg_pipe" && !jpeg_ends(&source, bytes);
    Ok(CheckedFile {
        index_first: !checked.probe.container.starts_with("mov") || index_first(&source).unwrap_or(false),
        decode_errors: checked.decode_errors + u32::from(cut_off),
        ..checked
    })
}

/// Whether a JPEG has its end marker (ITU-T T.81): the decoder paints gray what is missing, and says nothing.
fn jpeg_ends(file: &File, bytes: u64) -> bool {
    let mut end = [0; 2];
    file.read_exact_at(&mut end, bytes.saturating_sub(2)).is_ok() && end == [0xff, 0xd9]
}

/// Reads facts of what is opened, of so many bytes, and decodes both ends or everything; listens where it was loudest, and sums copied packets up.
pub(crate) fn check_input<O>(
    open: &O,
    bytes: u64,
    made: &Made,
    depth: Depth,
    cancel: &Cancel,
) -> Result<CheckedFile, Failure>
where
    O: Fn() -> Result<Input, Failure> + Sync,
{
    let mut input = open()?;
    let mut probe = probe::read(&mut input, bytes, cancel)?;
    let (head, tail_errors) = thread::scope(|scope| {
        let tail = scope.spawn(|| match depth {
            Depth::Fast => FinishedFile::open(input)?.read_tail(cancel),
            Depth::Full => Ok(0),
        });
        // What was read before does not go back to its very beginning: to the first picture, not to the sound before it.
        let head = open().and_then(FinishedFile::open);
        let head = head.and_then(|finished| finished.read_through(made, depth, cancel));
        (head, tail.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let (head, tail_errors) = (head?, tail_errors?);
    if probe.main_video().is_none() {
        // The header of an MP3 goes on telling the length of sound that is gone.
        probe.duration_us = probe.duration_us.min(head.audio_us);
    }
    Ok(CheckedFile {
        probe,
        index_first: true,
        starts_with_keyframe: head.starts_with_keyframe,
        frames: head.frames,
        decode_errors: head.errors + tail_errors,
        peak_permille: head.peak_permille,
        copied: head.copied,
    })
}

/// Decodes all of what is opened; returns how much was damaged.
pub(crate) fn decode_errors(input: Input, cancel: &Cancel) -> Result<u32, Failure> {
    let mut finished = FinishedFile::open(input)?;
    while let Some(packet) = next_packet(&mut finished.input, cancel)? {
        finished.decode(Some(&packet))?;
    }
    finished.decode(None)?;
    Ok(finished.errors())
}

/// Whether the index box stands before the media data, among the boxes at the top of the file (ISO/IEC 14496-12).
fn index_first(file: &File) -> io::Result<bool> {
    let mut at = 0_u64;
    loop {
        let mut head = [0_u8; 16];
        if file.read_at(&mut head, at)? < 8 {
            return Ok(false);
        }
        let [a, b, c, d, name @ ..] = head;
        let [n0, n1, n2, n3, long @ ..] = name;
        match &[n0, n1, n2, n3] {
            b"moov" => return Ok(true),
            b"mdat" => return Ok(false),
            _ => {}
        }
        let length = match u32::from_be_bytes([a, b, c, d]) {
            0 => return Ok(false),
            1 => u64::from_be_bytes(long),
            short => u64::from(short),
        };
        at = at.checked_add(length.max(8)).ok_or(io::ErrorKind::InvalidData)?;
    }
}

/// What a file is from its beginning on.
struct Head {
    frames: u64,
    starts_with_keyframe: bool,
    /// Where the last packet of sound ends.
    audio_us: u64,
    /// Of what was decoded.
    errors: u32,
    /// Of the sound where it was loudest.
    peak_permille: Option<u32>,
    copied: Copied,
}

/// A finished file, with decoders for its first picture and sound.
struct FinishedFile {
    input: Input,
    video: Option<StreamDecoder>,
    audio: Option<StreamDecoder>,
}

impl FinishedFile {
    fn open(input: Input) -> Result<Self, Failure> {
        let probe = headers::read_headers(&input, 0);
        let first = |wanted: fn(&StreamKind) -> bool| {
            let found = probe
                .streams
                .iter()
                .find(|stream| wanted(&stream.kind) && stream.decodable);
            found
                .map(|stream| StreamDecoder::open_to_check(&input, stream.index))
                .transpose()
        };
        let (video, audio) = (
            first(|kind| matches!(kind, StreamKind::Video(_)))?,
            first(|kind| matches!(kind, StreamKind::Audio(_)))?,
        );
        Ok(Self { input, video, audio })
    }

    /// Counts every picture that is shown and decodes the first group, or the first sound of a file without pictures; or
    /// everything.
    fn read_through(mut self, made: &Made, depth: Depth, cancel: &Cancel) -> Result<Head, Failure> {
        let (mut frames, mut groups) = (0, 0);
        // The first picture of the file, shown or hidden by an edit list.
        let mut first = None;
        let mut audio_us = 0;
        let mut peak_check = match (&self.audio, made.loudest) {
            (Some(track), Some(loudest)) => Some(PeakCheck::open(&self.input, track.index, loudest)?),
            _ => None,
        };
        let mut video_digest = made.copied.pictures.map(|_| PacketDigest::default());
        let mut audio_digest = made.copied.sound.map(|_| PacketDigest::default());
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
                first.get_or_insert(packet.is_key());
                frames += u64::from(!is_hidden(&packet));
                groups += u32::from(packet.is_key());
            } else if let Some(track) = &self.audio {
                let end_us = self
                    .time_us(&packet)
                    .saturating_add(to_us(packet.duration(), track.base));
                audio_us = audio_us.max(u64::try_from(end_us).unwrap_or(0));
            }
            if let Some(peak_check) = &mut peak_check {
                peak_check.pass(&packet)?;
            }
            let wanted = if depth == Depth::Full {
                true
            } else if self.video.is_some() {
                groups <= 1
            } else {
                self.time_us(&packet) <= AUDIO_US
            };
            if wanted {
                self.decode(Some(&packet))?;
            }
        }
        self.decode(None)?;
        Ok(Head {
            frames,
            starts_with_keyframe: first.unwrap_or(self.video.is_none()),
            audio_us,
            errors: self.errors(),
            peak_permille: peak_check.map(PeakCheck::finish).transpose()?,
            copied: Copied {
                pictures: video_digest.as_ref().map(PacketDigest::digest),
                sound: audio_digest.as_ref().map(PacketDigest::digest),
            },
        })
    }

    /// Decodes the last group when it is another one, or the last sound; returns what was damaged there.
    fn read_tail(mut self, cancel: &Cancel) -> Result<u32, Failure> {
        let from = match &self.video {
            Some(_) => self.input.duration(),
            // Nothing but the smallest number when the length is not known.
            None => self.input.duration().saturating_sub(AUDIO_US),
        };
        if from <= 0 || self.input.seek(from, ..from).is_err() {
            return Ok(0);
        }
        while let Some(packet) = next_packet(&mut self.input, cancel)? {
            if self.is_video_packet(&packet) && self.is_at_the_start(&packet) {
                return Ok(0);
            }
            self.decode(Some(&packet))?;
        }
        self.decode(None)?;
        Ok(self.errors())
    }

    fn is_video_packet(&self, packet: &Packet) -> bool {
        self.video.as_ref().is_some_and(|track| track.index == packet.stream())
    }

    /// When a packet is shown or heard.
    fn time_us(&self, packet: &Packet) -> i64 {
        let time = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
        let tracks = [&self.video, &self.audio];
        let track = tracks
            .into_iter()
            .flatten()
            .find(|track| track.index == packet.stream());
        track.map_or(0, |track| to_us(time, track.base))
    }

    /// Whether a picture is the very first one.
    fn is_at_the_start(&self, packet: &Packet) -> bool {
        let origin_us = self.video.as_ref().map_or(0, |track| track.origin_us);
        self.time_us(packet) <= origin_us
    }

    /// Decodes a packet of either stream, or at the end what is left.
    fn decode(&mut self, packet: Option<&Packet>) -> Result<(), Failure> {
        let wanted = |track: &StreamDecoder| packet.is_none_or(|packet| packet.stream() == track.index);
        if let Some(track) = self.video.as_mut().filter(|track| wanted(track)) {
            track.send(packet);
            drop_all(track, &mut Video::empty())?;
        }
        if let Some(track) = self.audio.as_mut().filter(|track| wanted(track)) {
            track.send(packet);
            drop_all(track, &mut Audio::empty())?;
        }
        Ok(())
    }

    fn errors(&self) -> u32 {
        [&self.video, &self.audio]
            .into_iter()
            .flatten()
            .map(StreamDecoder::broken)
            .sum()
    }
}

fn drop_all(track: &mut StreamDecoder, frame: &mut Frame) -> Result<(), Failure> {
    while track.receive(frame)? {}
    Ok(())
}
