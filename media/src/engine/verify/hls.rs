//! Verifies a finished adaptive stream as a player reads it: by its playlists, segment by segment.

use crate::engine::cancel::Cancel;
use crate::engine::demux::byte_ranges::{ByteRange, ByteRangeReader, top_level_boxes};
use crate::engine::demux::open;
use crate::engine::demux::packets::next_packet;
use crate::engine::error::invalid_output;
use crate::engine::mux::segment_boundaries::MILLISECONDS_US;
use crate::engine::mux::segmenter::{Rendition, Segment, codec_of};
use crate::engine::output::hls::master_playlist::{MASTER, MasterPlaylist, Variant};
use crate::engine::output::hls::media_playlist::{AUDIO, FileRange, MediaPlaylist, file_of, stem_of};
use crate::engine::paths::output_path;
use crate::engine::time::to_us;
use crate::engine::verify::file::{check_input, decode_errors};
use domain::plan::Hls;
use domain::probe::Size;
use domain::protocol::{CheckedFile, CheckedHls, Depth, Made};
use domain::{Failure, Rational};
use ffmpeg_next::format::context::Input;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// What the muxer and a playlist round differently.
const ROUNDING_US: u64 = 1_000;

/// Reads facts and structure of a stream of ours, and looks for what its maker told of.
///
/// # Errors
/// [`domain::Code::OutputInvalid`] when a playlist or a segment is not there, or not what the others say of it.
pub(crate) fn check_hls(
    scratch: &Path,
    (file, planned): (&str, &Hls),
    made: &Made,
    depth: Depth,
    cancel: &Cancel,
) -> Result<CheckedHls, Failure> {
    let set = HlsDirectory {
        folder: output_path(scratch, file)?,
        made,
        depth,
        cancel,
    };
    let master: MasterPlaylist = set.playlist(MASTER)?;
    let audio = master.channels.map(|_| set.rendition(AUDIO)).transpose()?;
    if audio.as_ref().map(FoundRendition::channels) != master.channels.map(u32::from) {
        return Err(invalid_output(MASTER, "tells of other channels"));
    }
    if master.language != planned.language.clone().filter(|_| audio.is_some()) {
        return Err(invalid_output(MASTER, "tells of another language"));
    }
    let mut rungs = Vec::new();
    for (place, rung) in planned.rungs.iter().enumerate() {
        let found = set.rendition(&stem_of(rung))?;
        let variant = master
            .variants
            .get(place)
            .ok_or_else(|| invalid_output(MASTER, "lacks a rung"))?;
        if *variant != found.variant(audio.as_ref(), variant.millifps) {
            return Err(invalid_output(&variant.uri, "is not what the master playlist says"));
        }
        rungs.push(found);
    }
    let all = || rungs.iter().chain(&audio);
    let target_s = all().map(|found| found.target_s).max().unwrap_or(0);
    if all().any(|found| found.target_s != target_s) || master.variants.len() != rungs.len() {
        return Err(invalid_output(MASTER, "names playlists that do not belong together"));
    }
    let segments = || all().flat_map(|found| &found.rendition.segments);
    let first = rungs
        .first()
        .map(|found| found.begins_us.as_slice())
        .unwrap_or_default();
    Ok(CheckedHls {
        segments: first.len() as u64,
        longest_us: segments().map(|segment| segment.duration_us).max().unwrap_or(0),
        target_us: target_s * 1_000_000,
        aligned: rungs.iter().all(|found| are_equal(&found.begins_us, first)),
        independent: all().all(|found| found.independent),
        audio: audio.as_ref().map(|found| found.checked.clone()),
        rungs: rungs.into_iter().map(|found| found.checked).collect(),
    })
}

/// Whether moments are the same, as far as a source that counts milliseconds can tell.
fn are_equal(some_us: &[u64], others_us: &[u64]) -> bool {
    let mut pairs = some_us.iter().zip(others_us);
    some_us.len() == others_us.len() && pairs.all(|(one, other)| one.abs_diff(*other) <= MILLISECONDS_US)
}

/// The directory of a stream.
struct HlsDirectory<'a> {
    folder: PathBuf,
    made: &'a Made,
    depth: Depth,
    cancel: &'a Cancel,
}

/// A rendition as it was found.
struct FoundRendition {
    rendition: Rendition,
    target_s: u64,
    checked: CheckedFile,
    /// When each segment begins, in microseconds.
    begins_us: Vec<u64>,
    /// Whether each begins with a keyframe.
    independent: bool,
}

impl FoundRendition {
    fn channels(&self) -> u32 {
        self.checked.probe.main_audio().map_or(0, |(_, facts)| facts.channels)
    }

    /// What a master playlist says of it.
    fn variant(&self, audio: Option<&Self>, millifps: u64) -> Variant {
        let size = self.checked.probe.main_video().map(|(_, facts)| Size {
            width_px: facts.width_px,
            height_px: facts.height_px,
        });
        let size = size.unwrap_or(Size {
            width_px: 0,
            height_px: 0,
        });
        let fps = Rational { num: 1, den: 1 };
        Variant {
            millifps,
            ..Variant::of(
                &self.rendition,
                audio.map(|audio| &audio.rendition),
                (size, fps),
                self.target_s,
            )
        }
    }
}

impl HlsDirectory<'_> {
    fn playlist<T: FromStr>(&self, file: &str) -> Result<T, Failure> {
        let text = fs::read_to_string(self.folder.join(file)).map_err(|_| invalid_output(file, "is not there"))?;
        text.parse().map_err(|_| invalid_output(file, "is no playlist of ours"))
    }

    /// Reads a rendition by its playlist.
    fn rendition(&self, stem: &str) -> Result<FoundRendition, Failure> {
        let playlist = file_of(stem);
        let media: MediaPlaylist = self.playlist(&playlist)?;
        let init = self.piece(&media.init, &[*b"ftyp", *b"moov"])?;
        let mut pieces = vec![init];
        for (part, _) in &media.segments {
            pieces.push(self.piece(part, &[*b"moof", *b"mdat"])?);
        }
        let codec = pieces.first().and_then(|init| {
            let bytes = fs::read(&init.path).ok()?;
            codec_of(bytes.get(..usize::try_from(init.bytes).ok()?)?)
        });
        let mut bytes = pieces.iter().map(|piece| piece.bytes);
        let rendition = Rendition {
            stem: stem.to_owned(),
            single_file: media.init.range.is_some(),
            codec: codec.ok_or_else(|| invalid_output(&playlist, "has no codec of ours"))?,
            init_bytes: bytes.next().unwrap_or(0),
            segments: bytes
                .zip(&media.segments)
                .map(|(bytes, (_, us))| Segment {
                    bytes,
                    duration_us: *us,
                })
                .collect(),
        };
        if MediaPlaylist::of(&rendition, media.target_s) != media {
            return Err(invalid_output(&playlist, "does not name what is there"));
        }
        self.look_into(rendition, media.target_s, &Arc::from(pieces))
    }

    /// A file or a part of it, which must be made of these boxes.
    fn piece(&self, part: &FileRange, expected: &[[u8; 4]]) -> Result<ByteRange, Failure> {
        let path =
            output_path(&self.folder, &part.file).map_err(|_| invalid_output(MASTER, "names a file elsewhere"))?;
        let length = fs::metadata(&path)
            .map_err(|_| invalid_output(&part.file, "is not there"))?
            .len();
        let (bytes, from) = part.range.unwrap_or((length, 0));
        let piece = ByteRange { path, from, bytes };
        match top_level_boxes(&piece) {
            Ok(found) if found == expected => Ok(piece),
            _ => Err(invalid_output(&part.file, "is not whole")),
        }
    }

    /// Reads the packets and the ends of a rendition.
    fn look_into(
        &self,
        rendition: Rendition,
        target_s: u64,
        pieces: &Arc<[ByteRange]>,
    ) -> Result<FoundRendition, Failure> {
        let playlist = file_of(&rendition.stem);
        let open = |pieces: &Arc<[ByteRange]>| {
            open::open_rendition(ByteRangeReader::new(Arc::clone(pieces)), self.cancel)
                .map_err(|_| invalid_output(&playlist, "cannot be opened"))
        };
        let joined = ByteRangeReader::new(Arc::clone(pieces));
        let times = self.times(&mut open(pieces)?, &joined)?;
        let mut promised_us = 0;
        for (place, (segment, found)) in rendition.segments.iter().zip(&times).enumerate() {
            let end_us = promised_us + segment.duration_us;
            // Sound may come late, and what is read of it then begins later than its first segment.
            let late = place == 0 && rendition.stem == AUDIO && found.begin_us < end_us;
            let begins = late || found.begin_us.abs_diff(promised_us) <= ROUNDING_US;
            // Who copies packets may know the length of the last one only about.
            let ends = found.end_us.abs_diff(end_us) <= found.packet_us + ROUNDING_US;
            if found.packets == 0 || !begins || !ends {
                return Err(invalid_output(
                    &rendition.segment_file(place),
                    "does not last as its playlist says",
                ));
            }
            promised_us = end_us;
        }
        let mut checked = check_input(&|| open(pieces), joined.len(), self.made, self.depth, self.cancel)?;
        // Without an index there is no way to the end, but the last segment can be decoded alone.
        if let ([init, _, .., last], Depth::Fast) = (&**pieces, self.depth) {
            let tail = open(&Arc::from([init.clone(), last.clone()]))?;
            checked.decode_errors += decode_errors(tail, self.cancel)?;
        }
        Ok(FoundRendition {
            checked,
            begins_us: times.iter().map(|found| found.begin_us).collect(),
            independent: times.iter().all(|found| found.independent),
            rendition,
            target_s,
        })
    }

    /// Looks at the packets of each segment.
    fn times(&self, input: &mut Input, joined: &ByteRangeReader) -> Result<Vec<SegmentTimes>, Failure> {
        let base = input.streams().next().map(|stream| stream.time_base());
        let base = base.ok_or_else(|| invalid_output(MASTER, "has a rendition without a stream"))?;
        // The first piece is the initialization.
        let mut times = vec![SegmentTimes::default(); joined.pieces() - 1];
        while let Some(packet) = next_packet(input, self.cancel)? {
            let position = u64::try_from(packet.position()).unwrap_or(0);
            let at = packet.pts().unwrap_or(i64::MIN);
            let us = |time: i64| u64::try_from(to_us(time, base)).unwrap_or(0);
            if let Some(found) = joined
                .piece_at(position)
                .checked_sub(1)
                .and_then(|place| times.get_mut(place))
            {
                found.note(packet.is_key(), us(at), us(at.saturating_add(packet.duration())));
            }
        }
        Ok(times)
    }
}

/// What the packets of a segment tell.
#[derive(Clone, Debug, Default)]
struct SegmentTimes {
    packets: u64,
    independent: bool,
    begin_us: u64,
    end_us: u64,
    /// The length of the longest packet.
    packet_us: u64,
}

impl SegmentTimes {
    fn note(&mut self, is_key: bool, begin_us: u64, end_us: u64) {
        if self.packets == 0 {
            self.independent = is_key;
            self.begin_us = begin_us;
        }
        self.packets += 1;
        self.begin_us = self.begin_us.min(begin_us);
        self.end_us = self.end_us.max(end_us);
        self.packet_us = self.packet_us.max(end_us.saturating_sub(begin_us));
    }
}
