//! Writes packets into a container in the scratch directory: a single file, or the segments of a rendition.
//!
//! A [`Muxer`] is used in this order: add streams, write the header, write packets, finish. The muxer of a rendition
//! asks its [`Segmenter`] before each packet whether a segment ends there. A rendition that follows the boundaries of
//! another one holds its packets back until these boundaries are final.

use crate::engine::error;
use crate::engine::ffi::output;
use crate::engine::mux::container::Container;
use crate::engine::mux::segmenter::{Rendition, RenditionTarget, Segmenter};
use crate::engine::paths::output_path;
use crate::engine::stage::Stage;
use domain::Failure;
use ffmpeg_next::codec::{Context, Parameters};
use ffmpeg_next::format::context::Output;
use ffmpeg_next::{Dictionary, Packet, Rational, format};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A container that is being written.
pub(crate) struct Muxer {
    output: Output,
    container: Container,
    file: String,
    path: PathBuf,
    /// Time base of each stream, which the container may have changed; empty until the header is written.
    time_bases: Vec<Rational>,
    /// Cuts the output into segments; `None` for a single file.
    segmenter: Option<Segmenter>,
    /// Packets held back until the segment boundaries up to their times are final.
    pending: VecDeque<PendingPacket>,
    /// Counts written packets for the stall detection; `None` for a rendition, whose output counts frames instead.
    stage: Option<Stage>,
}

struct PendingPacket {
    packet: Packet,
    stream_index: usize,
    time_base: Rational,
}

impl Muxer {
    /// Creates a single file in the scratch directory.
    pub(crate) fn create(scratch: &Path, file: &str, container: Container, stage: &Stage) -> Result<Self, Failure> {
        let path = output_path(scratch, file)?;
        let output =
            format::output_as(&path, container.muxer_name()).map_err(|error| error::write_failure(file, error))?;
        Ok(Self {
            output,
            container,
            file: file.to_owned(),
            path,
            time_bases: Vec::new(),
            segmenter: None,
            pending: VecDeque::new(),
            stage: Some(stage.clone()),
        })
    }

    /// Creates the files of a rendition of an adaptive stream. A rendition has one stream.
    pub(crate) fn create_rendition(target: RenditionTarget) -> Result<Self, Failure> {
        let file = target.stem.clone();
        let (output, segmenter) = Segmenter::open(target)?;
        Ok(Self {
            output,
            container: Container::Mp4,
            file,
            path: PathBuf::new(),
            time_bases: Vec::new(),
            segmenter: Some(segmenter),
            pending: VecDeque::new(),
            stage: None,
        })
    }

    /// Returns the container.
    pub(crate) const fn container(&self) -> Container {
        self.container
    }

    /// Returns `true` if an edit list can hide packets before the start. Segments have none.
    pub(crate) const fn has_edit_list(&self) -> bool {
        self.container.has_edit_list() && self.segmenter.is_none()
    }

    /// Adds a stream for the packets of an encoder with this time base. Returns its index.
    pub(crate) fn add_encoded_stream(&mut self, encoder: &Context, time_base: Rational) -> Result<usize, Failure> {
        let mut stream = self
            .output
            .add_stream_with(encoder)
            .map_err(|error| error::engine_failure("muxer", error))?;
        stream.set_time_base(time_base);
        stream.set_avg_frame_rate(encoder.frame_rate());
        if self.container == Container::Mp4 {
            output::set_hvc1_tag(&mut stream);
        }
        Ok(stream.index())
    }

    /// Adds a stream for copied packets with this time base. Returns its index.
    pub(crate) fn add_copied_stream(&mut self, parameters: Parameters, time_base: Rational) -> Result<usize, Failure> {
        let none = ffmpeg_next::codec::Id::None;
        let added = self.output.add_stream(ffmpeg_next::encoder::find(none));
        let mut stream = added.map_err(|error| error::engine_failure("muxer", error))?;
        stream.set_parameters(parameters);
        stream.set_time_base(time_base);
        Ok(stream.index())
    }

    /// Sets the language (ISO 639) of the stream that was added last.
    pub(crate) fn set_language(&mut self, language: Option<&str>) {
        if let Some(language) = language {
            self.set_tag("language", language);
        }
    }

    /// Sets a metadata tag of the stream that was added last. Replaces its other tags.
    pub(crate) fn set_tag(&mut self, key: &str, value: &str) {
        let last = usize::try_from(self.output.nb_streams()).unwrap_or(0).checked_sub(1);
        if let Some(mut stream) = last.and_then(|last| self.output.stream_mut(last)) {
            stream.set_metadata([(key, value)].into_iter().collect());
        }
    }

    /// Writes the header. No stream can be added afterwards.
    pub(crate) fn write_header(&mut self) -> Result<(), Failure> {
        let mut options = Dictionary::new();
        match self.container {
            _ if self.segmenter.is_some() => options = Segmenter::muxer_options(),
            // The index comes first, so that players can start before the whole file is downloaded.
            Container::Mp4 | Container::M4a => options.set("movflags", "+faststart"),
            Container::Webm => options.set("cues_to_front", "1"),
            // FFmpeg's GIF muxer loops forever by default.
            Container::Mp3 | Container::Opus | Container::Gif => {}
        }
        let written = self.output.write_header_with(options).map(drop);
        written.map_err(|error| error::write_failure(&self.file, error))?;
        self.time_bases = self.output.streams().map(|stream| stream.time_base()).collect();
        Ok(())
    }

    /// Writes a packet of a stream, or holds it back until its segment is known. Its timestamps count in `time_base`.
    pub(crate) fn write_packet(
        &mut self,
        packet: Packet,
        stream_index: usize,
        time_base: Rational,
    ) -> Result<(), Failure> {
        if packet.size() == 0 {
            return Ok(());
        }
        let pending = PendingPacket {
            packet,
            stream_index,
            time_base,
        };
        if self.segmenter.is_none() {
            return self.write_now(pending);
        }
        self.pending.push_back(pending);
        self.write_pending()
    }

    /// Writes the held packets whose segment is known, in their order.
    fn write_pending(&mut self) -> Result<(), Failure> {
        while let (Some(next), Some(segmenter)) = (self.pending.front(), &self.segmenter)
            && segmenter.is_boundary_known(&next.packet, next.time_base)
            && let Some(next) = self.pending.pop_front()
        {
            self.write_now(next)?;
        }
        Ok(())
    }

    fn write_now(&mut self, next: PendingPacket) -> Result<(), Failure> {
        let PendingPacket {
            mut packet,
            stream_index,
            time_base,
        } = next;
        if let Some(segmenter) = &mut self.segmenter {
            segmenter.before_packet(&packet, time_base, &mut self.output)?;
        }
        let output_time_base = self.time_bases.get(stream_index).copied().unwrap_or(time_base);
        packet.set_stream(stream_index);
        packet.rescale_ts(time_base, output_time_base);
        packet
            .write_interleaved(&mut self.output)
            .map_err(|error| error::write_failure(&self.file, error))?;
        self.stage.iter().for_each(Stage::count_item);
        Ok(())
    }

    /// Writes the trailer. Returns the segments of a rendition; `None` for a single file.
    pub(crate) fn finish(mut self) -> Result<Option<Rendition>, Failure> {
        self.write_pending()?;
        let segmenter = self.segmenter.take();
        let rendition = segmenter
            .map(|segmenter| segmenter.finish(&mut self.output))
            .transpose()?;
        if let Some(stage) = &self.stage {
            // To put the index first, the trailer rewrites the whole file without counting packets.
            stage.allow_rewrite(std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()));
        }
        self.output
            .write_trailer()
            .map_err(|error| error::write_failure(&self.file, error))?;
        self.stage.iter().for_each(Stage::count_item);
        Ok(rendition)
    }
}

/// The muxers of a movie: one file for both streams, or a video and an audio rendition.
pub(crate) struct MovieMuxer {
    video: Muxer,
    /// `None` if audio is written into the same container as video.
    audio: Option<Muxer>,
}

impl MovieMuxer {
    /// Combines the muxers of a movie. Without a muxer of its own, audio goes into that of the video.
    pub(crate) const fn new(video: Muxer, audio: Option<Muxer>) -> Self {
        Self { video, audio }
    }

    /// Returns `true` if video and audio are written into separate renditions.
    pub(crate) const fn has_separate_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// Returns the muxer of the video.
    pub(crate) const fn video(&mut self) -> &mut Muxer {
        &mut self.video
    }

    /// Returns the muxer of the audio.
    pub(crate) fn audio(&mut self) -> &mut Muxer {
        self.audio.as_mut().unwrap_or(&mut self.video)
    }

    /// Writes the headers. No stream can be added afterwards.
    pub(crate) fn write_headers(&mut self) -> Result<(), Failure> {
        [Some(&mut self.video), self.audio.as_mut()]
            .into_iter()
            .flatten()
            .try_for_each(Muxer::write_header)
    }

    /// Finishes both muxers. Returns the video rendition, then the audio rendition; empty for a single file. Video is
    /// finished first, because audio is cut at its segment boundaries.
    pub(crate) fn finish(self) -> Result<Vec<Rendition>, Failure> {
        let finished = [Some(self.video), self.audio].into_iter().flatten().map(Muxer::finish);
        finished.filter_map(Result::transpose).collect()
    }
}
