//! Makes a file of audio alone.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::context::OutputContext;
use crate::engine::encode::audio;
use crate::engine::error::nothing_decoded;
use crate::engine::fanout::channel::{Inbox, Piece};
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use domain::protocol::Made;
use domain::recipe::AudioFormat;

/// What the plan orders for the sound.
pub(crate) struct AudioFileSpec {
    pub(crate) format: AudioFormat,
    pub(crate) bitrate_bps: u32,
}

/// Makes the file from the samples that come.
pub(crate) fn run(
    context: &OutputContext<'_>,
    file: &str,
    order: &AudioFileSpec,
    from: &Inbox,
) -> Result<Made, Failure> {
    let source = context.audio().ok_or_else(|| nothing_decoded("the sound"))?;
    let container = Container::from(order.format);
    let audio = container.audio_params(source);
    let mut muxer = Muxer::create(context.scratch, file, container, context.meter.stage())?;
    let mut encoder = audio::open_audio(container, audio, order.bitrate_bps)?;
    encoder.join(&mut muxer)?;
    muxer.set_language(context.language());
    muxer.start()?;
    let mut fifo = AudioFifo::new(audio);
    let (mut heard, mut until) = (false, u64::MAX);
    let position = |us: u64| u64::try_from(audio.samples_in(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0);
    for piece in from {
        context.check()?;
        match piece {
            Piece::Part(part) => {
                fifo.begin(position(part.at_us), context.level)?;
                until = part
                    .span
                    .end
                    .map_or(u64::MAX, |_| position(part.at_us + part.length_us));
            }
            Piece::Audio {
                audio: mut samples,
                at_us,
            } => {
                fifo.write(&mut samples, audio.samples_in(at_us))?;
                heard = true;
                encoder.encode_until(until, &mut fifo, &mut muxer)?;
                context.meter.reached(audio.us_of(fifo.taken()));
            }
            Piece::Packets(_) | Piece::Frame { .. } | Piece::VideoEnd { .. } => {}
        }
    }
    context.check()?;
    if !heard {
        return Err(nothing_decoded("the sound"));
    }
    fifo.drain()?;
    fifo.cut_at(until);
    let samples = fifo.end();
    let loudest = encoder.finish(&mut fifo, &mut muxer)?;
    muxer.finish()?;
    Ok(Made {
        file: file.to_owned(),
        frames: 0,
        duration_us: audio.us_of(samples),
        packets_from_us: None,
        loudest,
        lost_sound: fifo.lost(),
        ..Made::default()
    })
}
