//! Packets, the index of a container, seeking, and codec parameters of copied streams.

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::packet::{Mut, Ref};
use ffmpeg_next::{Error, Packet, ffi};
use std::ffi::c_int;

/// One packet in the index of a stream (`AVIndexEntry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// DTS in most containers, PTS in some, in the time base of the stream.
    pub(crate) time: i64,
    pub(crate) key: bool,
    /// `true` if an edit list hides it.
    pub(crate) hidden: bool,
}

/// Calls `visit` for each index entry of a stream, in order. Some demuxers add entries while they read.
pub(crate) fn for_each_index_entry(input: &Input, stream: usize, mut visit: impl FnMut(IndexEntry)) {
    if stream >= usize::try_from(input.nb_streams()).unwrap_or(0) {
        return;
    }
    // SAFETY: `stream` is below the number of streams, which live as long as the context. An entry is copied before
    // anything else can change the index.
    unsafe {
        let stream = *(*input.as_ptr()).streams.add(stream);
        for index in 0..ffi::avformat_index_get_entries_count(stream) {
            if let Some(entry) = ffi::avformat_index_get_entry(stream, index).as_ref() {
                let flags = entry.flags();
                visit(IndexEntry {
                    time: entry.timestamp,
                    key: flags & ffi::AVINDEX_KEYFRAME != 0,
                    hidden: flags & ffi::AVINDEX_DISCARD_FRAME != 0,
                });
            }
        }
    }
}

/// Last index entry of a stream so far.
pub(crate) fn last_index_entry(input: &Input, stream: usize) -> Option<IndexEntry> {
    let mut last = None;
    for_each_index_entry(input, stream, |entry| last = Some(entry));
    last
}

/// Lets the demuxer discard the packets of all streams except these.
pub(crate) fn discard_other_streams(input: &mut Input, keep: &[usize]) {
    for index in 0..usize::try_from(input.nb_streams()).unwrap_or(0) {
        // SAFETY: `index` is below the number of streams, which live as long as the context.
        unsafe {
            let stream = *(*input.as_mut_ptr()).streams.add(index);
            (*stream).discard = if keep.contains(&index) {
                ffi::AVDiscard::AVDISCARD_DEFAULT
            } else {
                ffi::AVDiscard::AVDISCARD_ALL
            };
        }
    }
}

/// Seeks to the last keyframe of a stream at or before `time`, which is in the time base of the stream.
///
/// # Errors
/// The error of `av_seek_frame`.
pub(crate) fn seek_stream(input: &mut Input, stream: usize, time: i64) -> Result<(), Error> {
    let stream = c_int::try_from(stream).map_err(|_| Error::StreamNotFound)?;
    // SAFETY: the input is open; FFmpeg checks the stream index.
    match unsafe { ffi::av_seek_frame(input.as_mut_ptr(), stream, time, ffi::AVSEEK_FLAG_BACKWARD) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}

/// Creates a new reference to the data of a packet (`av_packet_ref`); nothing is copied.
pub(crate) fn share_packet(packet: &Packet) -> Result<Packet, Error> {
    let mut reference = Packet::empty();
    // SAFETY: both packets are live, and the new one is empty.
    match unsafe { ffi::av_packet_ref(reference.as_mut_ptr(), packet.as_ptr()) } {
        0 => Ok(reference),
        error => Err(Error::from(error)),
    }
}

/// Returns `true` if there are other references to the data of a packet.
pub(crate) fn is_shared(packet: &Packet) -> bool {
    // SAFETY: the packet is live; its buffer is null, or has a reference count that is read atomically.
    unsafe {
        let buffer = (*packet.as_ptr()).buf;
        !buffer.is_null() && ffi::av_buffer_get_ref_count(buffer) > 1
    }
}

/// Returns `true` if an edit list hides the packet: it is decoded, because others refer to it, but not shown.
pub(crate) fn is_hidden(packet: &Packet) -> bool {
    // SAFETY: reads one field of a live packet.
    unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 }
}

/// Number of samples at the start of a packet that a decoder drops (`AV_PKT_DATA_SKIP_SAMPLES`).
pub(crate) fn skipped_samples(packet: &Packet) -> u32 {
    let side_data = packet
        .side_data()
        .find(|data| data.kind() == ffmpeg_next::packet::side_data::Type::SkipSamples);
    match side_data.as_ref().and_then(|data| data.data().first_chunk::<4>()) {
        Some(samples) => u32::from_le_bytes(*samples),
        None => 0,
    }
}

/// Tells the decoder to drop this number of samples at the start of a packet (`AV_PKT_DATA_SKIP_SAMPLES`). Without
/// memory for it, they are kept.
pub(crate) fn skip_samples(packet: &mut Packet, samples: u32) {
    const BYTES: usize = 10;
    // SAFETY: the packet is live and owns its side data; the new side data has `BYTES` bytes, or is null.
    unsafe {
        let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_SKIP_SAMPLES;
        let data = ffi::av_packet_new_side_data(packet.as_mut_ptr(), kind, BYTES);
        if !data.is_null() {
            data.write_bytes(0, BYTES);
            data.cast::<[u8; 4]>().write(samples.to_le_bytes());
        }
    }
}

/// Codec parameters that several threads may read.
pub(crate) struct SharedParameters(Parameters);

// SAFETY: the parameters are owned and never changed; other threads only clone them.
unsafe impl Sync for SharedParameters {}

impl SharedParameters {
    /// Copies the parameters of a stream.
    pub(crate) fn of(parameters: &Parameters) -> Self {
        Self(parameters.clone())
    }

    /// Returns a copy for a muxer. The codec tag of the source's container is replaced, because it may be invalid in
    /// the new one. `padding` is the number of samples at the start of audio that players skip; 0 keeps the source's
    /// value.
    pub(crate) fn for_muxer(&self, padding: u32) -> Parameters {
        let mut parameters = self.0.clone();
        // SAFETY: plain fields of live parameters that nothing else uses yet.
        unsafe {
            let p = parameters.as_mut_ptr();
            // Apple players accept HEVC with this tag only.
            let hevc = ffi::AVCodecID::AV_CODEC_ID_HEVC;
            (*p).codec_tag = if (*p).codec_id == hevc {
                u32::from_le_bytes(*b"hvc1")
            } else {
                0
            };
            if padding > 0 {
                (*p).initial_padding = c_int::try_from(padding).unwrap_or(0);
            }
        }
        parameters
    }
}

/// Seeks to the first byte of the file.
///
/// # Errors
/// The error of `av_seek_frame`. Some demuxers cannot seek by bytes (`AVFMT_NO_BYTE_SEEK`), MP4 for example.
pub(crate) fn rewind(input: &mut Input) -> Result<(), Error> {
    // SAFETY: the input is open, and nothing else uses it now.
    match unsafe { ffi::av_seek_frame(input.as_mut_ptr(), -1, 0, ffi::AVSEEK_FLAG_BYTE) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}
