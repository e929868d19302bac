//! Decodes the audio of a finished file around its loudest moment: silence there is a fault.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::params::AudioParams;
use crate::engine::audio::peak_meter::PeakMeter;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::time::to_us;
use domain::Failure;
use domain::protocol::Loudest;
use ffmpeg_next::Packet;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Audio;

/// How far around the moment the finished file is decoded: decoders need a while, and clocks are off by a packet.
const AROUND_US: u64 = 500_000;

/// Decodes the sound of a finished file around one moment, while its packets come by.
pub(crate) struct PeakCheck {
    track: StreamDecoder,
    at_us: i64,
    fifo: AudioFifo,
    peak_meter: PeakMeter,
}

impl PeakCheck {
    /// Opens a decoder of its own for a stream: a beginning in its middle is no damage.
    pub(crate) fn open(input: &Input, index: usize, loudest: Loudest) -> Result<Self, Failure> {
        let track = StreamDecoder::open_to_check(input, index)?;
        let audio = AudioParams::for_output(track.facts.sample_rate_hz, track.facts.channels);
        Ok(Self {
            track,
            at_us: i64::try_from(loudest.at_us).unwrap_or(i64::MAX),
            fifo: AudioFifo::new(audio),
            peak_meter: PeakMeter::new(audio),
        })
    }

    /// Decodes a packet when it is near the moment.
    pub(crate) fn pass(&mut self, packet: &Packet) -> Result<(), Failure> {
        let time = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
        let near = to_us(time, self.track.time_base).abs_diff(self.at_us) <= AROUND_US;
        if near && packet.stream() == self.track.index {
            self.track.send(Some(packet));
            self.take()?;
        }
        Ok(())
    }

    /// Ends it; returns the peak that was found, in thousandths of full scale.
    pub(crate) fn finish(mut self) -> Result<u32, Failure> {
        self.track.send(None);
        self.take()?;
        self.fifo.drain()?;
        let count = usize::try_from(self.fifo.end()).unwrap_or(0);
        if count > 0 {
            self.peak_meter.push(&self.fifo.read(count, false)?);
        }
        Ok(self.peak_meter.peak_permille())
    }

    fn take(&mut self) -> Result<(), Failure> {
        let mut samples = Audio::empty();
        while self.track.receive(&mut samples)? {
            let end = i64::try_from(self.fifo.end()).unwrap_or(i64::MAX);
            self.fifo.write(&mut samples, end)?;
        }
        Ok(())
    }
}
