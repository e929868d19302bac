//! Filter graphs for video: frames in, frames out. [`super::filter_description`] and [`super::still_images`] write what a
//! graph does, from numbers and closed choices only.

use crate::engine::error::{self, AGAIN};
use crate::engine::ffi::frame::{self, Shape};
use crate::engine::ffi::graph;
use domain::Failure;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Error, Rational as Base, filter};

/// A graph with a main input `in`, still pictures beside it, and one output `out`.
pub(crate) struct FilterGraph {
    inner: filter::Graph,
    shape: Shape,
    base: Base,
}

/// A still picture that a graph may use by its name.
pub(crate) struct StillInput<'a> {
    pub(crate) name: &'static str,
    /// The time of the first picture that it stands beside: whether an overlay is seen then is asked when either comes.
    pub(crate) from: i64,
    pub(crate) frame: &'a Video,
}

impl FilterGraph {
    /// Builds a graph for pictures of `shape` whose times count in `base`.
    ///
    /// # Errors
    /// When FFmpeg refuses the description, which would be our fault.
    pub(crate) fn new(
        shape: Shape,
        base: Base,
        description: &str,
        beside: &[StillInput<'_>],
        threads: u32,
    ) -> Result<Self, Failure> {
        let failed = |error| error::engine("filter graph", error);
        let mut inner = filter::Graph::new();
        graph::set_graph_threads(&mut inner, threads);
        add_source(&mut inner, "in", &shape, base)?;
        for still in beside {
            add_source(&mut inner, still.name, &frame::shape(still.frame), base)?;
        }
        let sink = filter::find("buffersink").ok_or_else(|| error::missing("buffersink"))?;
        inner.add(&sink, "out", "").map_err(failed)?;
        let mut parser = inner.output("in", 0).map_err(failed)?;
        for still in beside {
            parser = parser.output(still.name, 0).map_err(failed)?;
        }
        parser
            .input("out", 0)
            .and_then(|parser| parser.parse(description))
            .map_err(failed)?;
        inner.validate().map_err(failed)?;
        let mut graph = Self { inner, shape, base };
        for still in beside {
            let mut frame = frame::share_video(still.frame).map_err(failed)?;
            frame.set_pts(Some(still.from));
            graph.add(still.name, &frame)?;
            graph.close(still.name)?;
        }
        Ok(graph)
    }

    /// Whether the graph was built for pictures like this one.
    pub(crate) fn fits(&self, frame: &Video) -> bool {
        self.shape == frame::shape(frame)
    }

    /// Gives a picture to the graph; its buffers move there.
    pub(crate) fn push(&mut self, frame: &Video) -> Result<(), Failure> {
        self.add("in", frame)
    }

    /// Tells the graph that no picture follows.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.close("in")
    }

    /// Takes the next picture and its time in microseconds; `None` when the graph wants more or is done.
    pub(crate) fn pull(&mut self) -> Result<Option<Video>, Failure> {
        let mut sink = self.inner.get("out").ok_or_else(|| error::missing("the sink"))?;
        let mut frame = Video::empty();
        match sink.sink().frame(&mut frame) {
            Ok(()) => Ok(Some(frame)),
            Err(Error::Eof) => Ok(None),
            Err(error) if error == AGAIN => Ok(None),
            Err(error) => Err(error::engine("filter", error)),
        }
    }

    /// The unit of the times of pictures that come out.
    pub(crate) fn base_out(&mut self) -> Base {
        self.inner
            .get("out")
            .map_or(self.base, |mut sink| sink.sink().time_base())
    }

    fn add(&mut self, name: &str, frame: &Video) -> Result<(), Failure> {
        let mut source = self.inner.get(name).ok_or_else(|| error::missing("the buffer"))?;
        source
            .source()
            .add(frame)
            .map_err(|error| error::engine("filter input", error))
    }

    fn close(&mut self, name: &str) -> Result<(), Failure> {
        let mut source = self.inner.get(name).ok_or_else(|| error::missing("the buffer"))?;
        source
            .source()
            .flush()
            .map_err(|error| error::engine("filter input", error))
    }
}

fn add_source(graph: &mut filter::Graph, name: &str, shape: &Shape, base: Base) -> Result<(), Failure> {
    let buffer = filter::find("buffer").ok_or_else(|| error::missing("buffer"))?;
    let Shape {
        width_px,
        height_px,
        format,
        ..
    } = shape;
    let (num, den) = (base.numerator(), base.denominator());
    let description =
        format!("video_size={width_px}x{height_px}:pix_fmt={format}:time_base={num}/{den}:pixel_aspect=1/1");
    let added = graph.add(&buffer, name, &description);
    added.map(drop).map_err(|error| error::engine("filter input", error))
}

/// Runs a picture, with stills beside it, through a graph of its own.
pub(crate) fn run_once(frame: &Video, description: &str, beside: &[StillInput<'_>]) -> Result<Video, Failure> {
    let mut graph = FilterGraph::new(frame::shape(frame), Base::new(1, 1), description, beside, 1)?;
    let mut input = frame::share_video(frame).map_err(|error| error::engine("picture", error))?;
    input.set_pts(Some(0));
    graph.push(&input)?;
    graph.finish()?;
    graph.pull()?.ok_or_else(|| error::engine("filter", Error::Eof))
}
