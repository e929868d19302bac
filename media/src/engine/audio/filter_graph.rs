//! Filter graphs for audio.

use crate::engine::audio::params::AudioParams;
use crate::engine::error::{self, AGAIN};
use domain::Failure;
use ffmpeg_next::filter;
use ffmpeg_next::frame::Audio;

/// A filter graph with one input and one output.
pub(crate) struct AudioFilterGraph(filter::Graph);

impl AudioFilterGraph {
    /// Builds a graph for planar 32-bit floating-point samples.
    ///
    /// # Errors
    /// When FFmpeg rejects the description, which is a fault of the engine.
    pub(crate) fn new(audio: AudioParams, description: &str) -> Result<Self, Failure> {
        let failed = |error| error::engine_failure("filter graph", error);
        let find = |name: &str| filter::find(name).ok_or_else(|| error::missing_component(name));
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

    /// Sends samples to the graph.
    pub(crate) fn push(&mut self, samples: &Audio) -> Result<(), Failure> {
        let mut source = self.0.get("in").ok_or_else(|| error::missing_component("the buffer"))?;
        source
            .source()
            .add(samples)
            .map_err(|error| error::engine_failure("filter input", error))
    }

    /// Receives filtered samples; `None` when the graph needs more input.
    pub(crate) fn pull(&mut self) -> Result<Option<Audio>, Failure> {
        let mut sink = self.0.get("out").ok_or_else(|| error::missing_component("the sink"))?;
        let mut samples = Audio::empty();
        match sink.sink().frame(&mut samples) {
            Ok(()) => Ok(Some(samples)),
            Err(error) if error == AGAIN => Ok(None),
            Err(error) => Err(error::engine_failure("filter", error)),
        }
    }
}
