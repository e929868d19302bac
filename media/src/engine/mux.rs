//! Writes encoded packets into a container in the scratch directory.

use super::hls::{Place, Rendition, Segments};
use super::stage::Stage;
use super::tape::Sound;
use super::{av_out, fault};
use domain::recipe::AudioFormat;
use domain::{Code, Failure, FailureKind, plan};
use ffmpeg_next::codec::{Context, Parameters};
use ffmpeg_next::format::context::Output;
use ffmpeg_next::{Dictionary, Packet, Rational, format};
use std::collections::VecDeque;
use std::path::{Component, Path, PathBuf};

/// A container that an output may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Mp4,
    Webm,
    M4a,
    Mp3,
    Opus,
    Gif,
}

impl Container {
    /// FFmpeg's name of its muxer.
    const fn muxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Webm => "webm",
            Self::M4a => "ipod",
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Gif => "gif",
        }
    }

    /// Whether decoders find their headers in the container instead of the packets.
    pub(super) const fn has_global_headers(self) -> bool {
        !matches!(self, Self::Mp3 | Self::Gif)
    }

    /// The sound it holds for a source's: Opus knows only 48 kHz.
    pub(super) const fn sound(self, source: Sound) -> Sound {
        match self {
            Self::Webm | Self::Opus => Sound {
                rate_hz: 48_000,
                ..source
            },
            Self::Mp4 | Self::M4a | Self::Mp3 | Self::Gif => source,
        }
    }

    /// Whether it can hide what it has before its start, with an edit list.
    pub(super) const fn hides(self) -> bool {
        matches!(self, Self::Mp4 | Self::M4a)
    }
}

impl From<plan::Container> for Container {
    fn from(container: plan::Container) -> Self {
        match container {
            plan::Container::Mp4 => Self::Mp4,
            plan::Container::Webm => Self::Webm,
        }
    }
}

impl From<AudioFormat> for Container {
    fn from(format: AudioFormat) -> Self {
        match format {
            AudioFormat::M4a => Self::M4a,
            AudioFormat::Mp3 => Self::Mp3,
            AudioFormat::Opus => Self::Opus,
        }
    }
}

/// A file being written.
pub(super) struct Mux {
    output: Output,
    container: Container,
    file: String,
    path: PathBuf,
    /// Unit of time of each stream in the file; filled when the header is written.
    bases: Vec<Rational>,
    /// What cuts it into segments, when it is a rendition of an adaptive stream.
    segments: Option<Segments>,
    /// Packets that wait until it is known where it is cut, with their streams and units.
    waiting: VecDeque<(Packet, usize, Rational)>,
    /// The stage that writes it; that of a rendition counts its pictures.
    stage: Option<Stage>,
}

impl Mux {
    /// Creates the file.
    pub(super) fn create(scratch: &Path, file: &str, container: Container, stage: &Stage) -> Result<Self, Failure> {
        let path = place(scratch, file)?;
        let output = format::output_as(&path, container.muxer()).map_err(|error| fault::writing(file, error))?;
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
    pub(super) fn rendition(place: Place) -> Result<Self, Failure> {
        let file = place.stem.clone();
        let (output, segments) = Segments::open(place)?;
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
    pub(super) const fn container(&self) -> Container {
        self.container
    }

    /// Whether the file can hide what it has before its start; segments cannot.
    pub(super) const fn hides(&self) -> bool {
        self.container.hides() && self.segments.is_none()
    }

    /// Adds a stream for what an encoder makes; returns its place.
    pub(super) fn add(&mut self, encoder: &Context, base: Rational) -> Result<usize, Failure> {
        let mut stream = self
            .output
            .add_stream_with(encoder)
            .map_err(|error| fault::engine("muxer", error))?;
        stream.set_time_base(base);
        stream.set_avg_frame_rate(encoder.frame_rate());
        if self.container == Container::Mp4 {
            av_out::tag_for_players(&mut stream);
        }
        Ok(stream.index())
    }

    /// Adds a stream for packets that are taken over; returns its place.
    pub(super) fn add_copy(&mut self, parameters: Parameters, base: Rational) -> Result<usize, Failure> {
        let none = ffmpeg_next::codec::Id::None;
        let added = self.output.add_stream(ffmpeg_next::encoder::find(none));
        let mut stream = added.map_err(|error| fault::engine("muxer", error))?;
        stream.set_parameters(parameters);
        stream.set_time_base(base);
        Ok(stream.index())
    }

    /// Tells the language of the stream that was added last.
    pub(super) fn speak(&mut self, language: Option<&str>) {
        if let Some(language) = language {
            self.tell("language", language);
        }
    }

    /// Gives the stream that was added last a tag, its only one.
    pub(super) fn tell(&mut self, key: &str, value: &str) {
        let last = usize::try_from(self.output.nb_streams()).unwrap_or(0).checked_sub(1);
        if let Some(mut stream) = last.and_then(|last| self.output.stream_mut(last)) {
            stream.set_metadata([(key, value)].into_iter().collect());
        }
    }

    /// Writes the header; all streams are there.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let mut options = Dictionary::new();
        match self.container {
            _ if self.segments.is_some() => options = Segments::options(),
            Container::Mp4 | Container::M4a => options.set("movflags", "+faststart"),
            Container::Webm => options.set("cues_to_front", "1"),
            // The muxer's own default is a loop without end.
            Container::Mp3 | Container::Opus | Container::Gif => {}
        }
        let written = self.output.write_header_with(options).map(drop);
        written.map_err(|error| fault::writing(&self.file, error))?;
        self.bases = self.output.streams().map(|stream| stream.time_base()).collect();
        Ok(())
    }

    /// Writes a packet of the stream at `index`, whose times count in `base`.
    pub(super) fn write(&mut self, packet: Packet, index: usize, base: Rational) -> Result<(), Failure> {
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
            .map_err(|error| fault::writing(&self.file, error))?;
        self.stage.iter().for_each(Stage::moves);
        Ok(())
    }

    /// Completes the file, or the rendition.
    pub(super) fn finish(mut self) -> Result<Option<Rendition>, Failure> {
        self.release()?;
        let segments = self.segments.take();
        let rendition = segments.map(|segments| segments.finish(&mut self.output)).transpose()?;
        if let Some(stage) = &self.stage {
            // The index is written first: all of the file is moved.
            stage.rewrites(std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()));
        }
        self.output
            .write_trailer()
            .map_err(|error| fault::writing(&self.file, error))?;
        self.stage.iter().for_each(Stage::moves);
        Ok(rendition)
    }
}

/// Where the packets of a movie go: into one file, or pictures and sound apart.
pub(super) struct Reel {
    pictures: Mux,
    sound: Option<Mux>,
}

impl Reel {
    /// A reel whose sound, when it is not `apart`, goes where the pictures go.
    pub(super) const fn new(pictures: Mux, apart: Option<Mux>) -> Self {
        Self { pictures, sound: apart }
    }

    /// Whether pictures and sound go into files of their own.
    pub(super) const fn is_apart(&self) -> bool {
        self.sound.is_some()
    }

    /// Where pictures go.
    pub(super) const fn pictures(&mut self) -> &mut Mux {
        &mut self.pictures
    }

    /// Where sound goes.
    pub(super) fn sound(&mut self) -> &mut Mux {
        self.sound.as_mut().unwrap_or(&mut self.pictures)
    }

    /// Writes the headers; all streams are there.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        [Some(&mut self.pictures), self.sound.as_mut()]
            .into_iter()
            .flatten()
            .try_for_each(Mux::start)
    }

    /// Completes what is written, pictures first: sound is cut where they are. The renditions, if any, come in that order.
    pub(super) fn finish(self) -> Result<Vec<Rendition>, Failure> {
        let finished = [Some(self.pictures), self.sound].into_iter().flatten().map(Mux::finish);
        finished.filter_map(Result::transpose).collect()
    }
}

/// The path of an output: a single plain name below the scratch directory.
///
/// # Errors
/// When the name is anything else, which a plan never has.
pub(super) fn place(scratch: &Path, file: &str) -> Result<PathBuf, Failure> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if !file.contains(['\0', '/']) => Ok(scratch.join(name)),
        _ => Err(Failure::new(
            FailureKind::MediaCrash,
            Code::Internal,
            "an output's name is no plain name",
        )),
    }
}
