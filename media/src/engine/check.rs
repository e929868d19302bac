//! Opens a finished file again and reads what a player would find in it.

use super::facts::{self, to_us};
use super::measure::next_packet;
use super::mux::place;
use super::track::Track;
use super::{Cancel, input};
use domain::probe::StreamKind;
use domain::protocol::CheckedFile;
use domain::{Code, Failure, FailureKind};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Frame, Packet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much sound is decoded at either end of a file without pictures.
const SOUND_US: i64 = 2_000_000;

/// Reads facts, structure and both ends of a file of ours.
///
/// # Errors
/// [`Code::OutputInvalid`] when it cannot be opened.
pub(super) fn run(scratch: &Path, file: &str, cancel: &Cancel) -> Result<CheckedFile, Failure> {
    let invalid = |what: &str| {
        let detail = format!("{file}: {what}");
        Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, detail)
    };
    let source = File::open(place(scratch, file)?).map_err(|_| invalid("is not there"))?;
    let bytes = source.metadata().map_or(0, |metadata| metadata.len());
    let opened = || input::open_output(&source, cancel).map_err(|_| invalid("cannot be opened"));
    let probe = facts::read(&mut opened()?, bytes, cancel)?;
    let index_first = !probe.container.starts_with("mov") || index_first(&source).unwrap_or(false);
    let mut ends = Ends::open(opened()?)?;
    ends.read_through(cancel)?;
    ends.read_tail(cancel)?;
    Ok(CheckedFile {
        probe,
        index_first,
        starts_with_keyframe: ends.starts_with_keyframe,
        frames: ends.frames,
        decode_errors: ends.errors(),
    })
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

/// The first and the last group of pictures, and what lies between them only counted.
struct Ends {
    input: Input,
    video: Option<Track>,
    audio: Option<Track>,
    frames: u64,
    starts_with_keyframe: bool,
    keyframes: u64,
    /// Where the last keyframe is shown, in microseconds.
    last_key_us: i64,
    end_us: i64,
}

impl Ends {
    fn open(input: Input) -> Result<Self, Failure> {
        let probe = facts::headers(&input, 0);
        let first = |wanted: fn(&StreamKind) -> bool| {
            let found = probe
                .streams
                .iter()
                .find(|stream| wanted(&stream.kind) && stream.decodable);
            found.map(|stream| Track::open(&input, stream.index, 0)).transpose()
        };
        let (video, audio) = (
            first(|kind| matches!(kind, StreamKind::Video(_)))?,
            first(|kind| matches!(kind, StreamKind::Audio(_)))?,
        );
        Ok(Self {
            starts_with_keyframe: video.is_none(),
            input,
            video,
            audio,
            frames: 0,
            keyframes: 0,
            last_key_us: 0,
            end_us: 0,
        })
    }

    /// Counts every packet and decodes the first group.
    fn read_through(&mut self, cancel: &Cancel) -> Result<(), Failure> {
        while let Some(packet) = next_packet(&mut self.input, cancel)? {
            let us = self.note(&packet);
            let first_group = if self.video.is_some() {
                self.keyframes <= 1
            } else {
                us <= SOUND_US
            };
            if first_group {
                self.decode(Some(&packet))?;
            }
        }
        self.decode(None)
    }

    /// Decodes the last group, when it is another one.
    fn read_tail(&mut self, cancel: &Cancel) -> Result<(), Failure> {
        let from = if self.video.is_some() {
            self.last_key_us
        } else {
            self.end_us - SOUND_US
        };
        if from <= 0 || self.input.seek(from, ..from).is_err() {
            return Ok(());
        }
        for track in [&mut self.video, &mut self.audio].into_iter().flatten() {
            track.restart();
        }
        while let Some(packet) = next_packet(&mut self.input, cancel)? {
            self.decode(Some(&packet))?;
        }
        self.decode(None)
    }

    /// Counts a packet; returns its time.
    fn note(&mut self, packet: &Packet) -> i64 {
        let time = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
        if let Some(track) = self.video.as_ref().filter(|track| track.index == packet.stream()) {
            let us = to_us(time, track.base);
            self.starts_with_keyframe |= self.frames == 0 && packet.is_key();
            self.frames += 1;
            if packet.is_key() {
                self.keyframes += 1;
                self.last_key_us = us;
            }
            return us;
        }
        let us = self.audio.as_ref().map_or(0, |track| to_us(time, track.base));
        self.end_us = self.end_us.max(us);
        us
    }

    /// Decodes a packet of either stream, or at the end what is left.
    fn decode(&mut self, packet: Option<&Packet>) -> Result<(), Failure> {
        let wanted = |track: &Track| packet.is_none_or(|packet| packet.stream() == track.index);
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
            .map(Track::broken)
            .sum()
    }
}

fn drop_all(track: &mut Track, frame: &mut Frame) -> Result<(), Failure> {
    while track.receive(frame)? {}
    Ok(())
}
