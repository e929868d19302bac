//! Makes one file of sound alone.

use super::encode;
use super::feed::{Inbox, Piece};
use super::mux::{Container, Mux};
use super::reader::nothing_decoded;
use super::tape::Tape;
use super::transcode::Job;
use domain::Failure;
use domain::protocol::Made;
use domain::recipe::AudioFormat;

/// What the plan orders for the sound.
pub(super) struct Order {
    pub(super) format: AudioFormat,
    pub(super) bitrate_bps: u32,
}

/// Makes the file from the samples that come.
pub(super) fn run(job: &Job<'_>, file: &str, order: &Order, from: &Inbox) -> Result<Made, Failure> {
    let source = job.sound().ok_or_else(|| nothing_decoded("the sound"))?;
    let container = Container::from(order.format);
    let sound = container.sound(source);
    let mut mux = Mux::create(job.scratch, file, container, job.meter.stage())?;
    let mut encoder = encode::sound(container, sound, order.bitrate_bps)?;
    encoder.join(&mut mux)?;
    mux.speak(job.language());
    mux.start()?;
    let mut tape = Tape::new(sound);
    let (mut heard, mut until) = (false, u64::MAX);
    let position = |us: u64| u64::try_from(sound.samples_in(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0);
    for piece in from {
        job.check()?;
        match piece {
            Piece::Part(part) => {
                tape.begin(position(part.at_us), job.level)?;
                until = part
                    .span
                    .end
                    .map_or(u64::MAX, |_| position(part.at_us + part.length_us));
            }
            Piece::Sound {
                sound: mut samples,
                at_us,
            } => {
                tape.lay(&mut samples, sound.samples_in(at_us))?;
                heard = true;
                encoder.encode_until(until, &mut tape, &mut mux)?;
                job.meter.reached(sound.us_of(tape.taken()));
            }
            Piece::Packets(_) | Piece::Picture { .. } | Piece::PicturesEnd { .. } => {}
        }
    }
    job.check()?;
    if !heard {
        return Err(nothing_decoded("the sound"));
    }
    tape.drain()?;
    tape.cut_at(until);
    let samples = tape.end();
    let loudest = encoder.finish(&mut tape, &mut mux)?;
    mux.finish()?;
    Ok(Made {
        file: file.to_owned(),
        frames: 0,
        duration_us: sound.us_of(samples),
        packets_from_us: None,
        loudest,
        lost_sound: tape.lost(),
        ..Made::default()
    })
}
