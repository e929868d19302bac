//! Filter graphs: pictures in, pictures out. What a graph does is written by [`super::picture`] and [`super::still`],
//! from numbers and closed choices only.

use super::av::{self, Shape};
use super::fault;
use super::tape::Sound;
use domain::{Failure, Rational};
use ffmpeg_next::filter;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Error, Rational as Base};

/// A graph with a main input `in`, still pictures beside it, and one output `out`.
pub(super) struct Graph {
    inner: filter::Graph,
    shape: Shape,
    base: Base,
}

/// A still picture that a graph may use by its name.
pub(super) struct Beside<'a> {
    pub(super) name: &'static str,
    /// The time of the first picture that it stands beside: whether an overlay is seen then is asked when either comes.
    pub(super) from: i64,
    pub(super) picture: &'a Video,
}

impl Graph {
    /// Builds a graph for pictures of `shape` whose times count in `base`.
    ///
    /// # Errors
    /// When FFmpeg refuses the description, which would be our fault.
    pub(super) fn new(
        shape: Shape,
        base: Base,
        description: &str,
        beside: &[Beside<'_>],
        threads: u32,
    ) -> Result<Self, Failure> {
        let failed = |error| fault::engine("filter graph", error);
        let mut inner = filter::Graph::new();
        av::set_graph_threads(&mut inner, threads);
        add_source(&mut inner, "in", &shape, base)?;
        for still in beside {
            add_source(&mut inner, still.name, &av::shape(still.picture), base)?;
        }
        let sink = filter::find("buffersink").ok_or_else(|| fault::missing("buffersink"))?;
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
            let mut picture = av::share_picture(still.picture).map_err(failed)?;
            picture.set_pts(Some(still.from));
            graph.add(still.name, &picture)?;
            graph.close(still.name)?;
        }
        Ok(graph)
    }

    /// Whether the graph was built for pictures like this one.
    pub(super) fn fits(&self, picture: &Video) -> bool {
        self.shape == av::shape(picture)
    }

    /// Gives a picture to the graph; its buffers move there.
    pub(super) fn push(&mut self, picture: &Video) -> Result<(), Failure> {
        self.add("in", picture)
    }

    /// Tells the graph that no picture follows.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.close("in")
    }

    /// Takes the next picture and its time in microseconds; `None` when the graph wants more or is done.
    pub(super) fn pull(&mut self) -> Result<Option<Video>, Failure> {
        let mut sink = self.inner.get("out").ok_or_else(|| fault::missing("the sink"))?;
        let mut picture = Video::empty();
        match sink.sink().frame(&mut picture) {
            Ok(()) => Ok(Some(picture)),
            Err(Error::Eof) => Ok(None),
            Err(error) if error == fault::AGAIN => Ok(None),
            Err(error) => Err(fault::engine("filter", error)),
        }
    }

    /// The unit of the times of pictures that come out.
    pub(super) fn base_out(&mut self) -> Base {
        self.inner
            .get("out")
            .map_or(self.base, |mut sink| sink.sink().time_base())
    }

    fn add(&mut self, name: &str, picture: &Video) -> Result<(), Failure> {
        let mut source = self.inner.get(name).ok_or_else(|| fault::missing("the buffer"))?;
        source
            .source()
            .add(picture)
            .map_err(|error| fault::engine("filter input", error))
    }

    fn close(&mut self, name: &str) -> Result<(), Failure> {
        let mut source = self.inner.get(name).ok_or_else(|| fault::missing("the buffer"))?;
        source
            .source()
            .flush()
            .map_err(|error| fault::engine("filter input", error))
    }
}

/// A graph for samples: one input, one output.
pub(super) struct Heard(filter::Graph);

impl Heard {
    /// Builds a graph for planar floating-point samples.
    pub(super) fn new(sound: Sound, description: &str) -> Result<Self, Failure> {
        let failed = |error| fault::engine("filter graph", error);
        let find = |name: &str| filter::find(name).ok_or_else(|| fault::missing(name));
        let mut graph = filter::Graph::new();
        let (rate, layout) = (sound.rate_hz, sound.layout().bits());
        let input = format!("time_base=1/{rate}:sample_rate={rate}:sample_fmt=fltp:channel_layout={layout:#x}");
        graph.add(&find("abuffer")?, "in", &input).map_err(failed)?;
        graph.add(&find("abuffersink")?, "out", "").map_err(failed)?;
        let parser = graph.output("in", 0).and_then(|parser| parser.input("out", 0));
        let described = format!("[in]{description}[out]");
        parser.and_then(|parser| parser.parse(&described)).map_err(failed)?;
        graph.validate().map_err(failed)?;
        Ok(Self(graph))
    }

    /// Gives samples to the graph.
    pub(super) fn push(&mut self, samples: &Audio) -> Result<(), Failure> {
        let mut source = self.0.get("in").ok_or_else(|| fault::missing("the buffer"))?;
        source
            .source()
            .add(samples)
            .map_err(|error| fault::engine("filter input", error))
    }

    /// Takes what is ready; `None` when the graph wants more.
    pub(super) fn pull(&mut self) -> Result<Option<Audio>, Failure> {
        let mut sink = self.0.get("out").ok_or_else(|| fault::missing("the sink"))?;
        let mut samples = Audio::empty();
        match sink.sink().frame(&mut samples) {
            Ok(()) => Ok(Some(samples)),
            Err(error) if error == fault::AGAIN => Ok(None),
            Err(error) => Err(fault::engine("filter", error)),
        }
    }
}

fn add_source(graph: &mut filter::Graph, name: &str, shape: &Shape, base: Base) -> Result<(), Failure> {
    let buffer = filter::find("buffer").ok_or_else(|| fault::missing("buffer"))?;
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
    added.map(drop).map_err(|error| fault::engine("filter input", error))
}

/// Runs a picture, with stills beside it, through a graph of its own.
pub(super) fn once(picture: &Video, description: &str, beside: &[Beside<'_>]) -> Result<Video, Failure> {
    let mut graph = Graph::new(av::shape(picture), Base::new(1, 1), description, beside, 1)?;
    let mut input = av::share_picture(picture).map_err(|error| fault::engine("picture", error))?;
    input.set_pts(Some(0));
    graph.push(&input)?;
    graph.finish()?;
    graph.pull()?.ok_or_else(|| fault::engine("filter", Error::Eof))
}

/// A frame rate as a unit of time: the length of one frame.
pub(super) fn frame_base(fps: Rational) -> Base {
    let fit = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Base::new(fit(fps.den), fit(fps.num))
}
