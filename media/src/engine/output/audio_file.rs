//! Encodes an audio file: M4A, MP3 or Opus.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::context::OutputContext;
use crate::engine::encode::audio;
use crate::engine::error::nothing_decoded;
use crate::engine::fanout::channel::{MediaItem, MediaReceiver};
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use domain::protocol::OutputReport;
use domain::recipe::AudioFormat;

/// The parameters of an audio file.
pub(crate) struct AudioFileSpec {
    pub(crate) format: AudioFormat,
    pub(crate) bitrate_bps: u32,
}

/// Encodes the received audio into a file.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    spec: &AudioFileSpec,
    receiver: &MediaReceiver,
) -> Result<OutputReport, Failure> {
    let source = context.audio().ok_or_else(|| nothing_decoded("the audio"))?;
    let container = Container::from(spec.format);
    let audio = container.audio_params(source);
    let mut muxer = Muxer::create(context.scratch, file, container, context.progress.stage())?;
    let mut encoder = audio::open_audio(container, audio, spec.bitrate_bps)?;
    encoder.add_stream_to(&mut muxer)?;
    muxer.set_language(context.language());
    muxer.write_header()?;
    let mut fifo = AudioFifo::new(audio);
    // End of the current span in samples. Decoders may return samples after it.
    let mut end = u64::MAX;
    let mut has_audio = false;
    let position = |us: u64| u64::try_from(audio.us_to_samples(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0);
    for item in receiver {
        context.check()?;
        match item {
            MediaItem::Part(part) => {
                fifo.begin_part(position(part.timeline_us), context.gain)?;
                end = part
                    .span
                    .end
                    .map_or(u64::MAX, |_| position(part.timeline_us + part.duration_us));
            }
            MediaItem::Audio {
                audio: mut samples,
                at_us,
            } => {
                fifo.write(&mut samples, audio.us_to_samples(at_us))?;
                has_audio = true;
                encoder.encode_until(end, &mut fifo, &mut muxer)?;
                context.progress.advance_to(audio.samples_to_us(fifo.read_position()));
            }
            MediaItem::Packets(_) | MediaItem::Frame { .. } | MediaItem::VideoEnd { .. } => {}
        }
    }
    context.check()?;
    if !has_audio {
        return Err(nothing_decoded("the audio"));
    }
    fifo.drain()?;
    fifo.truncate_at(end);
    let samples = fifo.end();
    let audio_peak = encoder.finish(&mut fifo, &mut muxer)?;
    muxer.finish()?;
    Ok(OutputReport {
        file: file.to_owned(),
        frames: 0,
        duration_us: audio.samples_to_us(samples),
        audio_peak,
        lost_audio: fifo.lost_audio(),
        ..OutputReport::default()
    })
}
