//! Filter graphs for audio samples.

use crate::engine::audio::params::AudioParams;
use crate::engine::error::{self, AGAIN};
use domain::Failure;
use ffmpeg_next::filter;
use ffmpeg_next::frame::Audio;

/// A graph for samples: one input, one output.
pub(crate) struct AudioFilterGraph(filter::Graph);

impl AudioFilterGraph {
    /// Builds a graph for planar floating-point samples.
    pub(crate) fn new(audio: AudioParams, description: &str) -> Result<Self, Failure> {
        let failed = |error| error::engine("filter graph", error);
        let find = |name: &str| filter::find(name).ok_or_else(|| error::missing(name));
        let mut graph = filter::Graph::new();
        let (rate, layout) = (audio.rate_hz, audio.layout().bits());
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
    pub(crate) fn push(&mut self, samples: &Audio) -> Result<(), Failure> {
        let mut source = self.0.get("in").ok_or_else(|| error::missing("the buffer"))?;
        source
            .source()
            .add(samples)
            .map_err(|error| error::engine("filter input", error))
    }

    /// Takes what is ready; `None` when the graph wants more.
    pub(crate) fn pull(&mut self) -> Result<Option<Audio>, Failure> {
        let mut sink = self.0.get("out").ok_or_else(|| error::missing("the sink"))?;
        let mut samples = Audio::empty();
        match sink.sink().frame(&mut samples) {
            Ok(()) => Ok(Some(samples)),
            Err(error) if error == AGAIN => Ok(None),
            Err(error) => Err(error::engine("filter", error)),
        }
    }
}
