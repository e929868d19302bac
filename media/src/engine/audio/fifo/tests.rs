//! Jitter, gaps, overlaps, lost samples, and resampling.

use super::*;

const STEREO: AudioParams = AudioParams {
    rate_hz: 48_000,
    channels: 2,
};

fn frame(rate: u32, samples: usize, value: f32) -> Audio {
    let mut frame = frame::new_audio(Sample::F32(Type::Planar), samples, ChannelLayout::STEREO).unwrap();
    frame.set_rate(rate);
    for plane in 0..2 {
        frame.plane_mut::<f32>(plane).fill(value);
    }
    frame
}

/// Reads all samples of the right channel.
fn read_all(fifo: &mut AudioFifo) -> Vec<f32> {
    let count = usize::try_from(fifo.end() - fifo.read_position()).unwrap();
    if count == 0 {
        Vec::new()
    } else {
        fifo.read(count, false).unwrap().plane::<f32>(1).to_vec()
    }
}

fn lost(at_us: u64, length_us: u64) -> Option<LostAudio> {
    Some(LostAudio { at_us, length_us })
}

#[test]
fn samples_before_the_start_are_dropped_exactly_and_gaps_become_silence() {
    let mut fifo = AudioFifo::new(STEREO);
    fifo.write(&mut frame(48_000, 1_000, 0.5), -400).unwrap();
    fifo.write(&mut frame(48_000, 1_000, 0.25), 10_000).unwrap();
    let samples = read_all(&mut fifo);
    assert_eq!(samples.len(), 11_000);
    assert_eq!(
        (samples[0], samples[599], samples[600], samples[9_999]),
        (0.5, 0.5, 0.0, 0.0)
    );
    assert_eq!((samples[10_000], samples[10_999]), (0.25, 0.25));
    assert_eq!(fifo.lost_audio(), None);
}

#[test]
fn jitter_is_ignored_and_an_overlap_is_dropped_and_counted() {
    let mut fifo = AudioFifo::new(STEREO);
    for (n, jitter) in [(0, 0), (1, 300), (2, -300), (3, 100)] {
        fifo.write(&mut frame(48_000, 1_024, 0.1), n * 1_024 + jitter).unwrap();
    }
    assert_eq!((fifo.end(), fifo.lost_audio()), (4_096, None));
    fifo.write(&mut frame(48_000, 4_096, 0.2), 2_048).unwrap();
    assert_eq!((fifo.end(), fifo.lost_audio()), (6_144, lost(85_333, 42_667)));
}

#[test]
fn one_wrong_timestamp_loses_one_frame() {
    let mut fifo = AudioFifo::new(STEREO);
    for position in [480_000, 0, 482_048] {
        fifo.write(&mut frame(48_000, 1_024, 0.1), position).unwrap();
    }
    let lost = fifo.lost_audio().unwrap();
    assert!(lost.length_us.abs_diff(21_333) < 2_000, "{lost:?}");
}

#[test]
fn an_hour_of_silence_takes_no_memory_and_later_samples_keep_their_position() {
    let mut fifo = AudioFifo::new(STEREO);
    let hour = 3_600 * 48_000;
    fifo.write(&mut frame(48_000, 1_000, 0.5), 0).unwrap();
    fifo.write(&mut frame(48_000, 1_000, 0.25), hour).unwrap();
    assert_eq!(fifo.end(), hour.unsigned_abs() + 1_000);
    assert_eq!(fifo.buffered[0].len(), 2_000);
    let read = fifo.read(1_500, false).unwrap().plane::<f32>(0).to_vec();
    assert_eq!((read[999], read[1_000], read.len()), (0.5, 0.0, 1_500));
    fifo.truncate_at(1_600);
    assert_eq!(read_all(&mut fifo), [0.0; 100]);
    assert_eq!(fifo.lost_audio(), None);
}

#[test]
fn samples_beyond_the_capacity_are_counted_as_lost() {
    let mut fifo = AudioFifo::new(STEREO);
    for second in 0..182 {
        fifo.write(&mut frame(48_000, 48_000, 0.5), second * 48_000).unwrap();
    }
    assert_eq!(fifo.lost_audio(), lost(180_000_000, 2_000_000));
}

#[test]
fn resampling_keeps_the_duration() {
    let mut fifo = AudioFifo::new(STEREO);
    for n in 0..44 {
        fifo.write(&mut frame(44_100, 1_002, 0.3), n * 1_002 * 160 / 147)
            .unwrap();
    }
    fifo.drain().unwrap();
    let expected = 44 * 1_002 * 160 / 147;
    assert!(fifo.end().abs_diff(expected) <= 2, "{} for {expected}", fifo.end());
}
