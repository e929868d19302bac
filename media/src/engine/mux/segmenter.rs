//! Segmenter: cuts one rendition of an adaptive stream into segments, which are fragments of MP4 (CMAF), each a file of its own
//! or a byte range of one file.

use crate::engine::error;
use crate::engine::ffi::output;
use crate::engine::mux::segment_boundaries::{MILLISECONDS_US, SegmentBoundaries};
use crate::engine::time::to_us;
use domain::Failure;
use ffmpeg_next::format::context::{Output, StreamIo};
use ffmpeg_next::{Dictionary, Packet, format};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What the muxer is told: every fragment is ended by us, and it needs no index of them. The initialization waits for
/// the first packet, because it tells how much of encoded sound is only a run-up.
const FRAGMENTS: &str = "+frag_custom+empty_moov+default_base_moof+delay_moov+skip_trailer";

/// Where segments begin.
#[derive(Clone, Debug)]
pub(crate) enum SegmentRule {
    /// At every keyframe; whoever is cut with it is told.
    Keyframes(SegmentBoundaries),
    /// At the first keyframe at or after each multiple of so many microseconds; whoever is cut with it is told.
    Multiples(u64, SegmentBoundaries),
    /// With the first packet that begins at or after a border of another rendition.
    With(SegmentBoundaries),
}

impl SegmentRule {
    /// Where sound is cut beside pictures.
    pub(crate) fn beside(&self) -> Self {
        let (Self::Keyframes(cuts) | Self::Multiples(_, cuts) | Self::With(cuts)) = self;
        Self::With(cuts.clone())
    }
}

/// Where a rendition is written, and how.
#[derive(Clone, Debug)]
pub(crate) struct RenditionTarget {
    pub(crate) folder: PathBuf,
    /// What the names of its files begin with.
    pub(crate) stem: String,
    pub(crate) single_file: bool,
    pub(crate) cut: SegmentRule,
}

/// A rendition that is written: what its playlist tells.
#[derive(Clone, Debug)]
pub(crate) struct Rendition {
    pub(crate) stem: String,
    pub(crate) single_file: bool,
    /// Its codec as RFC 6381 writes it.
    pub(crate) codec: String,
    pub(crate) init_bytes: u64,
    pub(crate) segments: Vec<Segment>,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) bytes: u64,
    pub(crate) duration_us: u64,
}

impl Rendition {
    /// The file of the initialization.
    pub(crate) fn init_file(&self) -> String {
        let Self { stem, single_file, .. } = self;
        format!("{stem}{}.mp4", if *single_file { "" } else { "-init" })
    }

    /// The file of the segment at a place.
    pub(crate) fn segment_file(&self, target: usize) -> String {
        if self.single_file {
            self.init_file()
        } else {
            format!("{}-{:04}.m4s", self.stem, target + 1)
        }
    }
}

/// Cuts what a muxer writes.
pub(crate) struct Segmenter {
    folder: PathBuf,
    cut: SegmentRule,
    buffer: Buffer,
    rendition: Rendition,
    /// When the segment that is being written begins, and where its last packet ends, in microseconds.
    begun_us: Option<u64>,
    end_us: u64,
}

impl Segmenter {
    /// A muxer, and what cuts its work.
    pub(crate) fn open(target: RenditionTarget) -> Result<(Output, Self), Failure> {
        let failed = |error| error::engine("muxer", error);
        let buffer = Buffer::default();
        let stream = StreamIo::from_write(buffer.clone()).map_err(failed)?;
        let output = format::output_to_stream(stream, None, Some("mp4")).map_err(failed)?;
        let segments = Self {
            folder: target.folder,
            cut: target.cut,
            buffer,
            rendition: Rendition {
                stem: target.stem,
                single_file: target.single_file,
                codec: String::new(),
                init_bytes: 0,
                segments: Vec::new(),
            },
            begun_us: None,
            end_us: 0,
        };
        Ok((output, segments))
    }

    /// The muxer's settings.
    pub(crate) fn options() -> Dictionary<'static> {
        [("movflags", FRAGMENTS), ("flush_packets", "1")].into_iter().collect()
    }

    /// Looks at the next packet, whose times count in `base`: a segment may end before it.
    pub(crate) fn note(
        &mut self,
        packet: &Packet,
        base: ffmpeg_next::Rational,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let at = packet.pts().unwrap_or(0);
        let (at_us, end_us) = (shown_us(at, base), shown_us(at.saturating_add(packet.duration()), base));
        if self
            .begun_us
            .is_some_and(|begun_us| self.begins(begun_us, packet.is_key(), at_us))
        {
            self.end_segment(at_us, output)?;
            self.followers().into_iter().for_each(|cuts| cuts.begin(at_us));
        }
        if let Some(cuts) = self.followers() {
            // Nothing is shown before it is decoded.
            cuts.reach(shown_us(packet.dts().unwrap_or(0), base));
        }
        self.begun_us.get_or_insert(at_us);
        self.end_us = self.end_us.max(end_us);
        Ok(())
    }

    /// Whether a segment begins with a packet, where one is being written since `begun_us`.
    fn begins(&self, begun_us: u64, is_key: bool, at_us: u64) -> bool {
        match &self.cut {
            SegmentRule::Keyframes(_) => is_key,
            SegmentRule::Multiples(each_us, _) => {
                let passed = |us: u64| (us + MILLISECONDS_US) / each_us;
                is_key && passed(at_us) > passed(begun_us)
            }
            SegmentRule::With(cuts) => cuts.between(begun_us, at_us),
        }
    }

    /// Whoever is cut with this rendition.
    const fn followers(&self) -> Option<&SegmentBoundaries> {
        match &self.cut {
            SegmentRule::Keyframes(cuts) | SegmentRule::Multiples(_, cuts) => Some(cuts),
            SegmentRule::With(_) => None,
        }
    }

    /// Whether it is known if a segment begins with a packet, or before it; otherwise it has to wait.
    pub(crate) fn can_note(&self, packet: &Packet, base: ffmpeg_next::Rational) -> bool {
        match &self.cut {
            SegmentRule::Keyframes(_) | SegmentRule::Multiples(..) => true,
            SegmentRule::With(cuts) => cuts.are_known(shown_us(packet.pts().unwrap_or(0), base)),
        }
    }

    /// Ends the last segment.
    pub(crate) fn finish(mut self, output: &mut Output) -> Result<Rendition, Failure> {
        if self.begun_us.is_some() {
            self.end_segment(self.end_us, output)?;
        }
        self.followers().into_iter().for_each(|cuts| cuts.reach(u64::MAX));
        Ok(self.rendition)
    }

    fn end_segment(&mut self, end_us: u64, output: &mut Output) -> Result<(), Failure> {
        let mut begun_us = self.begun_us.take().unwrap_or(end_us);
        if self.rendition.segments.is_empty() {
            // What comes late does not move what follows: all renditions begin together.
            begun_us = 0;
        }
        if self.rendition.init_bytes == 0 {
            let init = self.flush(output)?;
            self.rendition.codec = codec_of(&init).ok_or_else(|| error::missing("a codec for adaptive streams"))?;
            self.rendition.init_bytes = init.len() as u64;
            self.store(&self.rendition.init_file(), &init)?;
        }
        let segment = self.flush(output)?;
        self.store(&self.rendition.segment_file(self.rendition.segments.len()), &segment)?;
        self.rendition.segments.push(Segment {
            bytes: segment.len() as u64,
            duration_us: end_us.saturating_sub(begun_us),
        });
        Ok(())
    }

    fn flush(&self, output: &mut Output) -> Result<Vec<u8>, Failure> {
        output::flush_fragment(output).map_err(|error| error::engine("muxer", error))?;
        Ok(self.buffer.take())
    }

    /// Writes a file, or goes on with the only one.
    fn store(&self, file: &str, bytes: &[u8]) -> Result<(), Failure> {
        let opened = File::options().append(true).create(true).open(self.folder.join(file));
        opened
            .and_then(|mut opened| opened.write_all(bytes))
            .map_err(|error| error::disk(file, &error))
    }
}

/// A time in microseconds. The run-up of sound lies before 0, and no player shows it.
fn shown_us(time: i64, base: ffmpeg_next::Rational) -> u64 {
    u64::try_from(to_us(time, base)).unwrap_or(0)
}

/// What the muxer has written since it was last taken.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The codec that an initialization tells, as RFC 6381 writes it: profile, constraints and level of H.264 out of `avcC`
/// (ISO/IEC 14496-15), the object type of AAC out of `esds` (ISO/IEC 14496-14).
pub(crate) fn codec_of(init: &[u8]) -> Option<String> {
    /// Where the decoder's own description stands behind the name of `esds`: tags, lengths of four bytes and fields.
    const AAC_TAG: usize = 30;
    let behind = |name: &[u8; 4]| {
        let at = init.windows(4).position(|window| window == name)?;
        init.get(at + 4..)
    };
    if let Some([1, profile, constraints, level, ..]) = behind(b"avcC") {
        return Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"));
    }
    match behind(b"esds")?.get(AAC_TAG..)? {
        [5, _, _, _, _, first, ..] => Some(format!("mp4a.40.{}", first >> 3)),
        _ => None,
    }
}
