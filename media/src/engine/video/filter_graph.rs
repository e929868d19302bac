//! Filter graphs for video frames. [`super::filter_description`] and [`super::still_images`] write their descriptions.

use crate::engine::error::{self, AGAIN};
use crate::engine::ffi::frame::{self, FrameFormat};
use crate::engine::ffi::graph;
use domain::Failure;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Rational, filter};

/// A filter graph with an input `in`, inputs for still images, and an output `out`. It accepts frames of one format
/// only: a graph cannot be reconfigured, so callers build a new one when [`FilterGraph::accepts`] returns `false`.
pub(crate) struct FilterGraph {
    inner: filter::Graph,
    input_format: FrameFormat,
    time_base: Rational,
}

/// A still image that is an input of a graph.
pub(crate) struct StillInput<'a> {
    /// Label of the input in the description.
    pub(crate) name: &'static str,
    /// Timestamp of the image: that of the first frame with which it is combined. `overlay` evaluates `enable` when a
    /// frame arrives at either input, so an earlier timestamp may hide the image.
    pub(crate) from: i64,
    pub(crate) frame: &'a Video,
}

impl FilterGraph {
    /// Builds a graph for frames of `input_format` with timestamps in `time_base`, and sends it the still images.
    ///
    /// # Errors
    /// When FFmpeg rejects the description, which is a fault of the engine.
    pub(crate) fn new(
        input_format: FrameFormat,
        time_base: Rational,
        description: &str,
        stills: &[StillInput<'_>],
        threads: u32,
    ) -> Result<Self, Failure> {
        let failed = |error| error::engine_failure("filter graph", error);
        let mut inner = filter::Graph::new();
        graph::set_graph_threads(&mut inner, threads);
        add_source(&mut inner, "in", &input_format, time_base)?;
        for still in stills {
            add_source(&mut inner, still.name, &frame::frame_format(still.frame), time_base)?;
        }
        let sink = filter::find("buffersink").ok_or_else(|| error::missing_component("buffersink"))?;
        inner.add(&sink, "out", "").map_err(failed)?;
        let mut parser = inner.output("in", 0).map_err(failed)?;
        for still in stills {
            parser = parser.output(still.name, 0).map_err(failed)?;
        }
        parser
            .input("out", 0)
            .and_then(|parser| parser.parse(description))
            .map_err(failed)?;
        inner.validate().map_err(failed)?;
        let mut graph = Self {
            inner,
            input_format,
            time_base,
        };
        for still in stills {
            let mut frame = frame::share_video(still.frame).map_err(failed)?;
            frame.set_pts(Some(still.from));
            graph.send(still.name, &frame)?;
            // Closed at once: filters repeat the last frame of an input that has ended.
            graph.close(still.name)?;
        }
        Ok(graph)
    }

    /// Returns `true` when the frame has the format for which the graph was built.
    pub(crate) fn accepts(&self, frame: &Video) -> bool {
        self.input_format == frame::frame_format(frame)
    }

    /// Sends a frame to the input `in`. The graph takes the reference to its buffers.
    pub(crate) fn push(&mut self, frame: &Video) -> Result<(), Failure> {
        self.send("in", frame)
    }

    /// Ends the input `in`, so that filters flush their frames.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.close("in")
    }

    /// Receives the next frame, with a timestamp in [`Self::output_time_base`]. `None` when the graph needs more input
    /// or has ended.
    pub(crate) fn pull(&mut self) -> Result<Option<Video>, Failure> {
        let mut sink = self
            .inner
            .get("out")
            .ok_or_else(|| error::missing_component("the sink"))?;
        let mut frame = Video::empty();
        match sink.sink().frame(&mut frame) {
            Ok(()) => Ok(Some(frame)),
            Err(Error::Eof) => Ok(None),
            Err(error) if error == AGAIN => Ok(None),
            Err(error) => Err(error::engine_failure("filter", error)),
        }
    }

    /// Time base of the frames from [`Self::pull`]. Filters may change it: bwdif doubles the frequency.
    pub(crate) fn output_time_base(&mut self) -> Rational {
        self.inner
            .get("out")
            .map_or(self.time_base, |mut sink| sink.sink().time_base())
    }

    fn send(&mut self, input: &str, frame: &Video) -> Result<(), Failure> {
        let mut source = self.source(input)?;
        let result = source.source().add(frame);
        result.map_err(|error| error::engine_failure("filter input", error))
    }

    fn close(&mut self, input: &str) -> Result<(), Failure> {
        let mut source = self.source(input)?;
        let result = source.source().flush();
        result.map_err(|error| error::engine_failure("filter input", error))
    }

    /// The `buffer` filter of an input.
    fn source(&mut self, input: &str) -> Result<filter::Context, Failure> {
        let source = self.inner.get(input);
        source.ok_or_else(|| error::missing_component("the buffer"))
    }
}

/// Adds a `buffer` source to a graph. Its pixels are declared square: descriptions contain final sizes, in which the
/// pixel aspect ratio is already taken into account.
fn add_source(graph: &mut filter::Graph, name: &str, format: &FrameFormat, time_base: Rational) -> Result<(), Failure> {
    let buffer = filter::find("buffer").ok_or_else(|| error::missing_component("buffer"))?;
    let FrameFormat {
        width_px,
        height_px,
        format,
        ..
    } = format;
    let (num, den) = (time_base.numerator(), time_base.denominator());
    let description =
        format!("video_size={width_px}x{height_px}:pix_fmt={format}:time_base={num}/{den}:pixel_aspect=1/1");
    let added = graph.add(&buffer, name, &description);
    added
        .map(drop)
        .map_err(|error| error::engine_failure("filter input", error))
}

/// Filters one frame, with still images as further inputs, in a graph of its own.
pub(crate) fn run_once(frame: &Video, description: &str, stills: &[StillInput<'_>]) -> Result<Video, Failure> {
    let format = frame::frame_format(frame);
    let mut graph = FilterGraph::new(format, Rational::new(1, 1), description, stills, 1)?;
    let mut input = frame::share_video(frame).map_err(|error| error::engine_failure("frame", error))?;
    input.set_pts(Some(0));
    graph.push(&input)?;
    graph.finish()?;
    graph.pull()?.ok_or_else(|| error::engine_failure("filter", Error::Eof))
}
