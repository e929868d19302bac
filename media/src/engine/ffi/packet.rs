//! Packets and the index of a container: entries, hidden packets, seeking, and codec parameters for copied streams.

use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::packet::{Mut, Ref};
use ffmpeg_next::{Error, Packet, ffi};
use std::ffi::c_int;

/// One packet in the index of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// When it is decoded, or shown, in units of its stream.
    pub(crate) time: i64,
    pub(crate) key: bool,
    /// Whether an edit list hides it.
    pub(crate) hidden: bool,
}

/// Gives every entry that the index of a stream has by now, in its order.
pub(crate) fn for_each_entry(input: &Input, stream: usize, mut give: impl FnMut(IndexEntry)) {
    if stream >= usize::try_from(input.nb_streams()).unwrap_or(0) {
        return;
    }
    // SAFETY: `stream` is below the number of streams, each of which is live as long as the context; an entry is read
    // before anything else touches the stream.
    unsafe {
        let stream = *(*input.as_ptr()).streams.add(stream);
        for place in 0..ffi::avformat_index_get_entries_count(stream) {
            if let Some(entry) = ffi::avformat_index_get_entry(stream, place).as_ref() {
                let flags = entry.flags();
                give(IndexEntry {
                    time: entry.timestamp,
                    key: flags & ffi::AVINDEX_KEYFRAME != 0,
                    hidden: flags & ffi::AVINDEX_DISCARD_FRAME != 0,
                });
            }
        }
    }
}

/// The last entry that the index of a stream has by now.
pub(crate) fn last_entry(input: &Input, stream: usize) -> Option<IndexEntry> {
    let mut last = None;
    for_each_entry(input, stream, |entry| last = Some(entry));
    last
}

/// Tells the demuxer which streams nobody reads.
pub(crate) fn keep_only(input: &mut Input, keep: &[usize]) {
    for index in 0..usize::try_from(input.nb_streams()).unwrap_or(0) {
        // SAFETY: `index` is below the number of streams, each of which is live as long as the context.
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

/// Goes to the last keyframe of a stream at or before a time in its own units.
pub(crate) fn seek_stream(input: &mut Input, stream: usize, time: i64) -> Result<(), Error> {
    let stream = c_int::try_from(stream).map_err(|_| Error::StreamNotFound)?;
    // SAFETY: an open input; FFmpeg checks the number of the stream.
    match unsafe { ffi::av_seek_frame(input.as_mut_ptr(), stream, time, ffi::AVSEEK_FLAG_BACKWARD) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}

/// A second handle on the same packet; nothing is copied.
pub(crate) fn share_packet(packet: &Packet) -> Result<Packet, Error> {
    let mut twin = Packet::empty();
    // SAFETY: both packets are live, and the new one holds nothing yet.
    match unsafe { ffi::av_packet_ref(twin.as_mut_ptr(), packet.as_ptr()) } {
        0 => Ok(twin),
        error => Err(Error::from(error)),
    }
}

/// Whether the packet is only there for others to be decoded: an edit list hides it.
pub(crate) fn is_hidden(packet: &Packet) -> bool {
    // SAFETY: reads one field of a live packet.
    unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 }
}

/// Samples at the beginning of a packet that are not to be heard.
pub(crate) fn skipped_samples(packet: &Packet) -> u32 {
    let skips = packet
        .side_data()
        .find(|data| data.kind() == ffmpeg_next::packet::side_data::Type::SkipSamples);
    match skips.as_ref().and_then(|data| data.data().first_chunk::<4>()) {
        Some(samples) => u32::from_le_bytes(*samples),
        None => 0,
    }
}

/// The parameters of a codec, which several threads may read.
pub(crate) struct SharedParameters(Parameters);

// SAFETY: they are owned, never changed after they were made, and only read to be copied.
unsafe impl Sync for SharedParameters {}

impl SharedParameters {
    /// Keeps a copy of a stream's parameters.
    pub(crate) fn of(parameters: &Parameters) -> Self {
        Self(parameters.clone())
    }

    /// A copy fit for a stream of another container: tagged for players, not as in the old one, and with the samples that its
    /// sound begins with and nobody is to hear.
    pub(crate) fn for_muxer(&self, padding: u32) -> Parameters {
        let mut parameters = self.0.clone();
        // SAFETY: plain fields of live parameters that nobody else has yet.
        unsafe {
            let p = parameters.as_mut_ptr();
            // Players of Apple know HEVC by this tag alone.
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

/// Goes to the first byte of the file.
///
/// # Errors
/// Those of FFmpeg; containers with an index cannot be read from any byte (`AVFMT_NO_BYTE_SEEK`).
pub(crate) fn rewind(input: &mut Input) -> Result<(), Error> {
    // SAFETY: an open input that nothing else uses now.
    match unsafe { ffi::av_seek_frame(input.as_mut_ptr(), -1, 0, ffi::AVSEEK_FLAG_BYTE) } {
        found if found < 0 => Err(Error::from(found)),
        _ => Ok(()),
    }
}
