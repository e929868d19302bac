//! Measures the audio peak of an output again, where the encoder reported it.
//!
//! A file with silent or garbled audio has valid packets, and the part that is decoded for [`super::file`] may be
//! silent rightly. The encoder reports the time and level of the audio peak of its input; the same filter and meter
//! must find about the same level there in the output. Only a second of audio is decoded.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::params::AudioParams;
use crate::engine::audio::peak_meter::PeakMeter;
use crate::engine::decode::stream_decoder::StreamDecoder;
use crate::engine::time::to_us;
use domain::Failure;
use domain::protocol::AudioPeak;
use ffmpeg_next::Packet;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::frame::Audio;

/// Time before and after the peak that is decoded, in microseconds: decoders need a preroll, and timestamps may differ
/// by a packet.
const MARGIN_US: u64 = 500_000;

/// Decodes the audio of an output around a peak, while its packets are read.
pub(crate) struct PeakCheck {
    decoder: StreamDecoder,
    /// Time of the peak.
    at_us: i64,
    fifo: AudioFifo,
    peak_meter: PeakMeter,
}

impl PeakCheck {
    /// Opens a separate decoder for the audio stream, whose errors do not count: it begins in the middle of the stream.
    pub(crate) fn open(input: &Input, stream_index: usize, peak: AudioPeak) -> Result<Self, Failure> {
        let decoder = StreamDecoder::open_to_check(input, stream_index)?;
        let audio = AudioParams::for_output(decoder.facts.sample_rate_hz, decoder.facts.channels);
        Ok(Self {
            decoder,
            at_us: i64::try_from(peak.at_us).unwrap_or(i64::MAX),
            fifo: AudioFifo::new(audio),
            peak_meter: PeakMeter::new(audio),
        })
    }

    /// Decodes a packet if it is near the peak.
    pub(crate) fn push(&mut self, packet: &Packet) -> Result<(), Failure> {
        let time = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
        let is_near = to_us(time, self.decoder.time_base).abs_diff(self.at_us) <= MARGIN_US;
        if is_near && packet.stream() == self.decoder.index {
            self.decoder.send(Some(packet))?;
            self.receive_samples()?;
        }
        Ok(())
    }

    /// Returns the measured peak in thousandths of full scale.
    pub(crate) fn finish(mut self) -> Result<u32, Failure> {
        self.decoder.send(None)?;
        self.receive_samples()?;
        self.fifo.drain()?;
        let count = usize::try_from(self.fifo.end()).unwrap_or(0);
        if count > 0 {
            self.peak_meter.push(&self.fifo.read(count, false)?);
        }
        Ok(self.peak_meter.peak_permille())
    }

    fn receive_samples(&mut self) -> Result<(), Failure> {
        let mut samples = Audio::empty();
        while self.decoder.receive(&mut samples)? {
            let end = i64::try_from(self.fifo.end()).unwrap_or(i64::MAX);
            self.fifo.write(&mut samples, end)?;
        }
        Ok(())
    }
}
