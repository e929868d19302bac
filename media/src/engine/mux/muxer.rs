//! Writes packets into a container in the scratch directory: a file, or a segmented rendition.

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

/// A file being written.
pub(crate) struct Muxer {
    output: Output,
    container: Container,
    file: String,
    path: PathBuf,
    /// Unit of time of each stream in the file; filled when the header is written.
    bases: Vec<Rational>,
    /// What cuts it into segments, when it is a rendition of an adaptive stream.
    segments: Option<Segmenter>,
    /// Packets that wait until it is known where it is cut, with their streams and units.
    waiting: VecDeque<(Packet, usize, Rational)>,
    /// The stage that writes it; that of a rendition counts its pictures.
    stage: Option<Stage>,
}

impl Muxer {
    /// Creates the file.
    pub(crate) fn create(scratch: &Path, file: &str, container: Container, stage: &Stage) -> Result<Self, Failure> {
        let path = output_path(scratch, file)?;
        let output = format::output_as(&path, container.muxer()).map_err(|error| error::writing(file, error))?;
        Ok(Self {
            output,
            container,
            file: file.to_owned(),
            path,
            bases: Vec::new(),
            segments: None,
            waiting: VecDeque::new(),
            stage: Some(stage.clone()),
        })
    }

    /// Begins a rendition of an adaptive stream; it has one stream.
    pub(crate) fn rendition(target: RenditionTarget) -> Result<Self, Failure> {
        let file = target.stem.clone();
        let (output, segments) = Segmenter::open(target)?;
        Ok(Self {
            output,
            container: Container::Mp4,
            file,
            path: PathBuf::new(),
            bases: Vec::new(),
            segments: Some(segments),
            waiting: VecDeque::new(),
            stage: None,
        })
    }

    /// The container of the file.
    pub(crate) const fn container(&self) -> Container {
        self.container
    }

    /// Whether the file can hide what it has before its start; segments cannot.
    pub(crate) const fn hides(&self) -> bool {
        self.container.hides() && self.segments.is_none()
    }

    /// Adds a stream for what an encoder makes; returns its place.
    pub(crate) fn add(&mut self, encoder: &Context, base: Rational) -> Result<usize, Failure> {
        let mut stream = self
            .output
            .add_stream_with(encoder)
            .map_err(|error| error::engine("muxer", error))?;
        stream.set_time_base(base);
        stream.set_avg_frame_rate(encoder.frame_rate());
        if self.container == Container::Mp4 {
            output::tag_for_players(&mut stream);
        }
        Ok(stream.index())
    }

    /// Adds a stream for packets that are taken over; returns its place.
    pub(crate) fn add_copy(&mut self, parameters: Parameters, base: Rational) -> Result<usize, Failure> {
        let none = ffmpeg_next::codec::Id::None;
        let added = self.output.add_stream(ffmpeg_next::encoder::find(none));
        let mut stream = added.map_err(|error| error::engine("muxer", error))?;
        stream.set_parameters(parameters);
        stream.set_time_base(base);
        Ok(stream.index())
    }

    /// Tells the language of the stream that was added last.
    pub(crate) fn set_language(&mut self, language: Option<&str>) {
        if let Some(language) = language {
            self.set_tag("language", language);
        }
    }

    /// Gives the stream that was added last a tag, its only one.
    pub(crate) fn set_tag(&mut self, key: &str, value: &str) {
        let last = usize::try_from(self.output.nb_streams()).unwrap_or(0).checked_sub(1);
        if let Some(mut stream) = last.and_then(|last| self.output.stream_mut(last)) {
            stream.set_metadata([(key, value)].into_iter().collect());
        }
    }

    /// Writes the header; all streams are there.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let mut options = Dictionary::new();
        match self.container {
            _ if self.segments.is_some() => options = Segmenter::options(),
            Container::Mp4 | Container::M4a => options.set("movflags", "+faststart"),
            Container::Webm => options.set("cues_to_front", "1"),
            // The muxer's own default is a loop without end.
            Container::Mp3 | Container::Opus | Container::Gif => {}
        }
        let written = self.output.write_header_with(options).map(drop);
        written.map_err(|error| error::writing(&self.file, error))?;
        self.bases = self.output.streams().map(|stream| stream.time_base()).collect();
        Ok(())
    }

    /// Writes a packet of the stream at `index`, whose times count in `base`.
    pub(crate) fn write(&mut self, packet: Packet, index: usize, base: Rational) -> Result<(), Failure> {
        if packet.size() == 0 {
            return Ok(());
        }
        if self.segments.is_none() {
            return self.put(packet, index, base);
        }
        self.waiting.push_back((packet, index, base));
        self.release()
    }

    /// Writes the packets that need not wait any longer.
    fn release(&mut self) -> Result<(), Failure> {
        while let (Some((packet, _, base)), Some(segments)) = (self.waiting.front(), &self.segments)
            && segments.can_note(packet, *base)
            && let Some((packet, index, base)) = self.waiting.pop_front()
        {
            self.put(packet, index, base)?;
        }
        Ok(())
    }

    fn put(&mut self, mut packet: Packet, index: usize, base: Rational) -> Result<(), Failure> {
        if let Some(segments) = &mut self.segments {
            segments.note(&packet, base, &mut self.output)?;
        }
        let to = self.bases.get(index).copied().unwrap_or(base);
        packet.set_stream(index);
        packet.rescale_ts(base, to);
        packet
            .write_interleaved(&mut self.output)
            .map_err(|error| error::writing(&self.file, error))?;
        self.stage.iter().for_each(Stage::moves);
        Ok(())
    }

    /// Completes the file, or the rendition.
    pub(crate) fn finish(mut self) -> Result<Option<Rendition>, Failure> {
        self.release()?;
        let segments = self.segments.take();
        let rendition = segments.map(|segments| segments.finish(&mut self.output)).transpose()?;
        if let Some(stage) = &self.stage {
            // The index is written first: all of the file is moved.
            stage.rewrites(std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()));
        }
        self.output
            .write_trailer()
            .map_err(|error| error::writing(&self.file, error))?;
        self.stage.iter().for_each(Stage::moves);
        Ok(rendition)
    }
}

/// Where the packets of a movie go: into one file, or pictures and sound apart.
pub(crate) struct MovieMuxer {
    video: Muxer,
    audio: Option<Muxer>,
}

impl MovieMuxer {
    /// A reel whose sound, when it is not `apart`, goes where the pictures go.
    pub(crate) const fn new(video: Muxer, apart: Option<Muxer>) -> Self {
        Self { video, audio: apart }
    }

    /// Whether pictures and sound go into files of their own.
    pub(crate) const fn is_apart(&self) -> bool {
        self.audio.is_some()
    }

    /// Where pictures go.
    pub(crate) const fn video(&mut self) -> &mut Muxer {
        &mut self.video
    }

    /// Where sound goes.
    pub(crate) fn audio(&mut self) -> &mut Muxer {
        self.audio.as_mut().unwrap_or(&mut self.video)
    }

    /// Writes the headers; all streams are there.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        [Some(&mut self.video), self.audio.as_mut()]
            .into_iter()
            .flatten()
            .try_for_each(Muxer::start)
    }

    /// Completes what is written, pictures first: sound is cut where they are. The renditions, if any, come in that order.
    pub(crate) fn finish(self) -> Result<Vec<Rendition>, Failure> {
        let finished = [Some(self.video), self.audio].into_iter().flatten().map(Muxer::finish);
        finished.filter_map(Result::transpose).collect()
    }
}
