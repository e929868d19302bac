//! Links of a chained Ogg: logical streams that follow each other in one file (RFC 3533 §4).
//!
//! *Problem.* FFmpeg returns the headers of later links of Opus, Speex and FLAC as packets of audio, with durations.
//! Decoders of Opus and Speex take them for damage or noise, and everything after them is late. Of a later link of
//! Opus, the samples are kept that its header tells to drop (pre-skip, RFC 7845 §4.2).
//!
//! *Mechanism.* Headers get the time of the end of the link before and no duration. The first packet after them begins
//! a link, also if its time is near that of the end. Its decoder is told the number of samples to drop.

use crate::engine::ffi::packet;
use ffmpeg_next::Packet;

const OPUS_HEADER: &[u8] = b"OpusHead";
const OPUS_COMMENTS: &[u8] = b"OpusTags";
const SPEEX_HEADER: &[u8] = b"Speex   ";
const FLAC_HEADER: &[u8] = b"\x7fFLAC";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Opus,
    Speex,
    Flac,
}

/// The start of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkStart {
    /// Duration of the samples at its beginning that the decoder drops, in the time base of the stream.
    pub(crate) dropped: i64,
}

/// Tracks the links of one stream.
#[derive(Clone, Debug)]
pub(crate) struct OggLinks {
    codec: Codec,
    /// End of the latest packet, as the file has it.
    end: Option<i64>,
    /// `true` if the latest packet was a header.
    is_in_headers: bool,
    /// `true` if the latest packet was a header of Speex, which comments follow.
    comments_follow: bool,
    /// Samples to drop by the latest header.
    pre_skip: u32,
}

impl OggLinks {
    /// Tracks a stream of a container; `None` where FFmpeg handles the headers.
    pub(crate) fn of(container: &str, codec: &str) -> Option<Self> {
        let codec = match (container, codec) {
            ("ogg", "opus") => Codec::Opus,
            ("ogg", "speex") => Codec::Speex,
            ("ogg", "flac") => Codec::Flac,
            _ => return None,
        };
        Some(Self::new(codec))
    }

    const fn new(codec: Codec) -> Self {
        Self {
            codec,
            end: None,
            is_in_headers: false,
            comments_follow: false,
            pre_skip: 0,
        }
    }

    /// Starts again, after a seek: the next packet does not follow the latest one.
    pub(crate) const fn restart(&mut self) {
        *self = Self::new(self.codec);
    }

    /// Returns `true` if a packet is a header that its decoder must not get.
    pub(crate) fn is_undecodable(&self, packet: &Packet) -> bool {
        self.codec != Codec::Flac && self.is_header(packet.data().unwrap_or_default())
    }

    fn is_header(&self, data: &[u8]) -> bool {
        match self.codec {
            Codec::Opus => data.starts_with(OPUS_HEADER) || data.starts_with(OPUS_COMMENTS),
            Codec::Speex => data.starts_with(SPEEX_HEADER) || self.comments_follow,
            // Frames begin with a synchronization code; metadata blocks do not.
            Codec::Flac => data.starts_with(FLAC_HEADER) || (self.is_in_headers && data.first() != Some(&0xff)),
        }
    }

    /// Corrects a packet. Returns the start of a link if the packet is the first one after headers.
    pub(crate) fn correct(&mut self, packet: &mut Packet) -> Option<LinkStart> {
        let data = packet.data().unwrap_or_default();
        if self.is_header(data) {
            if let Some(header) = data.strip_prefix(OPUS_HEADER) {
                // After version and number of channels.
                let pre_skip = header.get(2..4).and_then(|bytes| bytes.first_chunk::<2>());
                self.pre_skip = pre_skip.map_or(0, |bytes| u32::from(u16::from_le_bytes(*bytes)));
            }
            self.is_in_headers = true;
            self.comments_follow = data.starts_with(SPEEX_HEADER);
            packet.set_pts(self.end);
            packet.set_dts(self.end);
            packet.set_duration(0);
            return None;
        }
        let time = packet.dts().or_else(|| packet.pts());
        self.end = time.map(|time| time.saturating_add(packet.duration().max(0)));
        if !std::mem::take(&mut self.is_in_headers) {
            return None;
        }
        let pre_skip = std::mem::take(&mut self.pre_skip);
        packet::skip_samples(packet, pre_skip);
        Some(LinkStart {
            dropped: i64::from(pre_skip),
        })
    }
}
