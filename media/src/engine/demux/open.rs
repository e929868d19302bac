//! Opens sources and outputs with allow-lists of demuxers and decoders, and checks headers against limits.
//!
//! Untrusted files reach only the demuxers and decoders listed here, and no demuxer opens a second file or a URL.
//! FFmpeg reads an open file through [`EditedFile`]. Headers are checked after `avformat_open_input`, before any
//! decoder is opened. If FFmpeg fails, the signature of the file decides the error: `source_damaged` for a supported
//! container, `not_media` for other files.

use crate::engine::cancel::Cancel;
use crate::engine::demux::byte_ranges::ByteRangeReader;
use crate::engine::demux::container::{has_alpha_layer, is_cover_art, is_mp4};
use crate::engine::demux::edited_file::{ByteEdits, EditedFile};
use crate::engine::demux::file_structure::FileStructure;
use crate::engine::demux::{early_times, matroska, mp4, transport_stream};
use crate::engine::error;
use crate::engine::ffi::open;
use crate::engine::ffi::parameters::{self, MediaType};
use crate::engine::file_bytes::read_up_to;
use crate::engine::shortage;
use domain::file_signature::{self, Motion};
use domain::limits::{self, StreamCounts};
use domain::probe::Size;
use domain::{Code, Failure, mpeg_ts};
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::{Codec, Dictionary, Error};
use std::fs::File;
use std::io::{Read, Seek};

/// Demuxers allowed for sources, by FFmpeg's names. None of them opens a second file.
const CONTAINERS: &str = "mov,matroska,mpegts,avi,flv,ogg,wav,mp3,mpeg,asf,aac,flac,gif,apng,mxf,dv";

/// Demuxers allowed for outputs of the engine.
const OUTPUT_CONTAINERS: &str = "mov,matroska,ogg,mp3,gif,jpeg_pipe,png_pipe,webp_pipe";

/// Video and audio decoders allowed for sources and outputs, by FFmpeg's names.
const DECODERS: &str = "h264,hevc,vp8,vp9,libdav1d,mpeg1video,mpeg2video,mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,\
    wmv3,vc1,h263,h263p,h263i,flv,vp6,vp6f,vp6a,mjpeg,libvpx,libvpx-vp9,prores,dnxhd,dvvideo,theora,png,gif,webp,\
    apng,ffv1,cfhd,qtrle,huffyuv,ffvhuff,utvideo,magicyuv,v210,rawvideo,\
    aac,mp3float,mp3,mp2float,mp2,mp1float,mp1,ac3,eac3,libopus,opus,vorbis,flac,alac,wmav1,wmav2,wmapro,amrnb,amrwb,\
    pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,\
    pcm_f64le,pcm_f64be,pcm_bluray,pcm_dvd,aac_latm,dca,truehd,mlp,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,\
    adpcm_yamaha,nellymoser,speex";

/// Size of FFmpeg's read buffer in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Maximum number of streams that FFmpeg opens (`max_streams`). Far above the accepted number, so that the streams can
/// be counted for the error. With one more, FFmpeg fails with `ENOMEM`, which could also be a real lack of memory.
const MAX_OPENED_STREAMS: usize = 10_000;

/// Maximum number of tracks that are counted after FFmpeg has failed.
const MAX_COUNTED_STREAMS: usize = 100_000;

/// Number of bytes at the start of a file in which signatures are searched.
const HEAD_BYTES: usize = 4 << 10;

/// An open source.
pub(crate) struct OpenedSource {
    pub(crate) input: Input,
    pub(crate) structure: FileStructure,
}

/// Opens a source with the allowed demuxers, and reads its headers and first packets.
///
/// # Errors
/// - [`Code::NotMedia`] if it is not a supported container
/// - [`Code::SourceDamaged`] if it is one and cannot be read, or has no streams
/// - [`Code::CodecUnsupported`] for animated WebP, which FFmpeg 5.1 cannot decode
/// - [`Code::TooManyStreams`], [`Code::PictureTooLarge`]
/// - [`Code::Unavailable`] if the work is canceled
pub(crate) fn open_source(source: &File, cancel: &Cancel) -> Result<OpenedSource, Failure> {
    let mut head = [0; HEAD_BYTES];
    let count = read_up_to(source, &mut head, 0).unwrap_or(0);
    let head = head.get(..count).unwrap_or_default();
    let (edits, structure) = match mpeg_ts::first_packet(head).filter(|_| !has_signature(head)) {
        Some((offset, layout)) => (transport_stream::edits(source, offset, layout), FileStructure::Packets),
        None => FileStructure::read(source, cancel)?,
    };
    let opened = open(source, edits, CONTAINERS, cancel).and_then(|mut input| {
        if let Err(failure) = check_streams(&input) {
            return Ok(Err(failure));
        }
        open::find_stream_info(&mut input, &[("max_pixels", &limits::MAX_FRAME_PIXELS.to_string())])?;
        Ok(check_streams(&input).map(|()| {
            early_times::apply_starts(source, &mut input);
            input
        }))
    });
    match opened {
        Ok(Ok(input)) if input.nb_streams() == 0 => Err(Failure::new(Code::SourceDamaged, "no streams")),
        Ok(checked) => checked.map(|input| OpenedSource { input, structure }),
        Err(error) => {
            cancel.check()?;
            shortage::check_open_error(error);
            check_track_count(source)?;
            Err(open_failure(head, error))
        }
    }
}

/// The failure of a source with these first bytes that FFmpeg did not open.
fn open_failure(head: &[u8], error: Error) -> Failure {
    // The PNG demuxer fails if width times height overflows; the limit is the reason to report.
    let (width_px, height_px) = file_signature::png_size(head).unwrap_or_default();
    if let Err(too_large) = limits::check_frame_size(Size { width_px, height_px }, limits::MAX_FRAME_PIXELS) {
        return too_large;
    }
    if file_signature::webp(head) == Some(Motion::Animated) {
        let detail = "animated WebP; accepted: the same as GIF, APNG or a video";
        return Failure::new(Code::CodecUnsupported, detail);
    }
    // `ENOMEM` is damage as well here, unless the machine is short of memory: a header with sizes beyond the limit.
    if starts_like_media(head) {
        let detail = format!("index or headers: {}", error::describe(error));
        Failure::new(Code::SourceDamaged, detail)
    } else {
        Failure::new(Code::NotMedia, "not a supported container")
    }
}

/// Opens an output of the engine for verification. Only its headers are read.
///
/// # Errors
/// The error of FFmpeg.
pub(crate) fn open_output(file: &File, cancel: &Cancel) -> Result<Input, Error> {
    open(file, ByteEdits::default(), OUTPUT_CONTAINERS, cancel)
}

/// Opens the concatenated segments of a rendition for verification. Only their headers are read.
///
/// # Errors
/// The error of FFmpeg.
pub(crate) fn open_rendition(segments: ByteRangeReader, cancel: &Cancel) -> Result<Input, Error> {
    open_stream(segments, "mov", cancel)
}

/// Reads the first packets of an output for what its headers lack.
///
/// # Errors
/// The error of FFmpeg.
pub(crate) fn read_stream_info(input: &mut Input) -> Result<(), Error> {
    open::find_stream_info(input, &[])
}

/// As [`read_stream_info`], unless the headers suffice for a decoder: those of an MP4 contain its parameters, and the
/// index of its video the times of all frames. Reading the packets then means decoding some frames twice.
///
/// # Errors
/// The error of FFmpeg.
pub(crate) fn read_stream_info_to_decode(input: &mut Input) -> Result<(), Error> {
    let is_video = |stream: &Stream<'_>| parameters::codec_facts(&stream.parameters()).kind == MediaType::Video;
    let mut frames = input.streams().filter(is_video).map(|stream| stream.frames());
    // The number is that of the index. A rendition has none, because its frames are in fragments.
    if is_mp4(input.format().name()) && frames.next().is_some_and(|frames| frames > 0) {
        return Ok(());
    }
    read_stream_info(input)
}

/// Refuses a file that FFmpeg did not open because it has more than [`MAX_OPENED_STREAMS`].
fn check_track_count(source: &File) -> Result<(), Failure> {
    let counted =
        mp4::count_tracks(source, MAX_COUNTED_STREAMS).or_else(|_| matroska::count_tracks(source, MAX_COUNTED_STREAMS));
    match counted {
        Ok(others) if others > MAX_OPENED_STREAMS => StreamCounts { media: 0, others }.check(limits::MAX_MEDIA_STREAMS),
        _ => Ok(()),
    }
}

/// Checks the number of streams, and frame sizes as far as headers contain them. Called before anything is decoded.
fn check_streams(input: &Input) -> Result<(), Failure> {
    for stream in input.streams() {
        let facts = parameters::codec_facts(&stream.parameters());
        let size = Size {
            width_px: facts.width_px,
            height_px: facts.height_px,
        };
        limits::check_frame_size(size, limits::MAX_FRAME_PIXELS)?;
    }
    let is_media = |stream: &Stream<'_>| {
        let kind = parameters::codec_facts(&stream.parameters()).kind;
        matches!(kind, MediaType::Video | MediaType::Audio) && !is_cover_art(stream)
    };
    let media = input.streams().filter(is_media).count();
    let others = input.streams().count() - media;
    StreamCounts { media, others }.check(limits::MAX_MEDIA_STREAMS)
}

fn open(file: &File, edits: ByteEdits, containers: &str, cancel: &Cancel) -> Result<Input, Error> {
    let edited = EditedFile::new(file, edits).map_err(|error| Error::Other {
        errno: error.raw_os_error().unwrap_or(0),
    })?;
    open_stream(edited, containers, cancel)
}

fn open_stream<S: Read + Seek + Send + 'static>(bytes: S, containers: &str, cancel: &Cancel) -> Result<Input, Error> {
    let io = StreamIo::from_read_seek_with_capacity(bytes, READ_BYTES)?;
    let options: Dictionary<'_> = [
        ("format_whitelist", containers),
        ("codec_whitelist", DECODERS),
        // No file or URL is opened by name: no playlist entries, no external tracks of MP4 (data references).
        ("protocol_whitelist", "none"),
        ("enable_drefs", "0"),
        // MPEG-TS recordings may begin before the first program map table.
        ("scan_all_pmts", "1"),
        // APNG frames without a delay last 100 ms, as in browsers and in FFmpeg's GIF demuxer.
        ("default_fps", "10"),
        ("max_streams", &MAX_OPENED_STREAMS.to_string()),
    ]
    .into_iter()
    .collect();
    let cancel = cancel.clone();
    open::open_headers(io, options, move || cancel.is_raised())
}

/// Decoder for a stream; `None` if FFmpeg has none or it is not on the allow-list.
pub(crate) fn find_decoder(stream: &Stream<'_>) -> Option<Codec> {
    let codec = match parameters::codec_facts(&stream.parameters()).name {
        // FFmpeg's native decoders ignore the alpha layer.
        "vp8" if has_alpha_layer(stream) => ffmpeg_next::decoder::find_by_name("libvpx")?,
        "vp9" if has_alpha_layer(stream) => ffmpeg_next::decoder::find_by_name("libvpx-vp9")?,
        _ => parameters::decoder_for(&stream.parameters())?,
    };
    DECODERS.split(',').any(|name| name == codec.name()).then_some(codec)
}

/// Returns `true` if the first bytes are those of a supported container, so that a failure to open it means damage.
fn starts_like_media(head: &[u8]) -> bool {
    has_signature(head) || mpeg_ts::first_packet(head).is_some()
}

/// Returns `true` if a file begins with the signature of a supported container other than a transport stream.
fn has_signature(head: &[u8]) -> bool {
    let has = |offset: usize, text: &[u8]| head.get(offset..offset + text.len()) == Some(text);
    let mp4_boxes: [&[u8]; 8] = [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot", b"styp"];
    let magic_bytes: [&[u8]; 9] = [
        // EBML: Matroska and WebM.
        &[0x1a, 0x45, 0xdf, 0xa3],
        b"FLV\x01",
        b"OggS",
        b"ID3",
        b"fLaC",
        // MPEG program stream, MPEG-1 and MPEG-2 video.
        &[0, 0, 1, 0xba],
        &[0, 0, 1, 0xb3],
        // ASF.
        &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11],
        b"RF64",
    ];
    let is_riff = has(0, b"RIFF") && (has(8, b"AVI ") || has(8, b"WAVE"));
    let is_animation = file_signature::is_gif(head) || file_signature::png(head) == Some(Motion::Animated);
    let is_intermediate = file_signature::is_mxf(head) || file_signature::is_dv(head);
    let has_magic =
        mp4_boxes.into_iter().any(|name| has(4, name)) || magic_bytes.into_iter().any(|magic| has(0, magic));
    has_magic || is_riff || is_animation || is_intermediate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decoder_of_the_list_exists_in_this_ffmpeg_or_is_an_alternative() {
        let missing: Vec<_> = DECODERS
            .split(',')
            .filter(|name| ffmpeg_next::decoder::find_by_name(name).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_decoder_that_ffmpeg_prefers_for_a_codec_is_on_the_list() {
        let allowed: Vec<_> = DECODERS.split(',').collect();
        for name in &allowed {
            let codec = ffmpeg_next::decoder::find_by_name(name).unwrap();
            let preferred = ffmpeg_next::decoder::find(codec.id()).unwrap();
            assert!(allowed.contains(&preferred.name()), "{} for {name}", preferred.name());
        }
    }

    #[test]
    fn a_playlist_does_not_look_like_media() {
        assert!(!starts_like_media(b"#EXTM3U\n"));
        assert!(!starts_like_media(b""));
        assert!(starts_like_media(b"\0\0\0\x18ftypisom"));
    }
}
