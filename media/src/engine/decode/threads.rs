//! Number of threads of a decoder. With frame threading each thread holds a frame of its own, so large frames get fewer
//! threads.

/// Maximum bytes of frames in the threads of one decoder.
const THREADS_BYTES: u64 = 256 << 20;

/// Threads of a decoder whose frames take `frame_bytes`: at most `threads`; 0 leaves the number to FFmpeg.
pub(crate) fn affordable_threads(frame_bytes: u64, threads: u32) -> u32 {
    let affordable = u32::try_from(THREADS_BYTES / frame_bytes.max(1)).unwrap_or(u32::MAX);
    match threads {
        // FFmpeg starts one thread per core, at most 16.
        0 if affordable >= 16 => 0,
        0 => affordable.max(1),
        threads => threads.min(affordable.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::affordable_threads;

    #[test]
    fn the_threads_of_a_decoder_follow_the_size_of_its_frames() {
        const FULL_HD: u64 = 1_920 * 1_080 * 3 / 2;
        const EIGHT_K: u64 = 7_680 * 4_320 * 3 / 2;
        const LARGEST: u64 = 8_192 * 8_192 * 8;
        assert_eq!(
            [1, 4, 64].map(|threads| affordable_threads(FULL_HD, threads)),
            [1, 4, 64]
        );
        assert_eq!(
            [0, 2, 64].map(|threads| affordable_threads(EIGHT_K, threads)),
            [5, 2, 5]
        );
        assert_eq!(
            [0, 1, 64].map(|threads| affordable_threads(LARGEST, threads)),
            [1, 1, 1]
        );
        assert_eq!([0, 2].map(|threads| affordable_threads(0, threads)), [0, 2]);
    }
}
