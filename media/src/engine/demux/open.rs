//! Opens sources and outputs: allowed demuxers and decoders, bounds on what headers ask for, and how the open file is read.

use crate::engine::cancel::Cancel;
use crate::engine::demux::byte_ranges::ByteRangeReader;
use crate::engine::demux::container::has_alpha_layer;
use crate::engine::demux::fragments::{self, Patch};
use crate::engine::demux::transport_stream::{self, LOOKED_THROUGH};
use crate::engine::demux::{matroska, mp4};
use crate::engine::error;
use crate::engine::ffi::open;
use crate::engine::ffi::parameters::{self, MediaType};
use domain::signature::{self, Motion};
use domain::{Code, Failure, FailureKind, limits, transport};
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::{Codec, Dictionary, Error};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Demuxers a source may need, by FFmpeg's names. None of them opens a second file.
const CONTAINERS: &str = "mov,matroska,mpegts,avi,flv,ogg,wav,mp3,mpeg,asf,aac,flac,gif,apng,mxf,dv";

/// Demuxers that an output of ours may need besides.
const OUTPUT_CONTAINERS: &str = "mov,matroska,ogg,mp3,gif,jpeg_pipe,png_pipe,webp_pipe";

/// Decoders of pictures and sound that may touch a source, or an output of ours, by FFmpeg's names.
const DECODERS: &str = "h264,hevc,vp8,vp9,libdav1d,mpeg1video,mpeg2video,mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4,wmv1,wmv2,\
    wmv3,vc1,h263,h263p,h263i,flv,vp6,vp6f,vp6a,mjpeg,libvpx,libvpx-vp9,prores,dnxhd,dvvideo,theora,png,gif,webp,\
    apng,ffv1,cfhd,qtrle,huffyuv,ffvhuff,utvideo,magicyuv,v210,rawvideo,\
    aac,mp3float,mp3,mp2float,mp2,mp1float,mp1,ac3,eac3,libopus,opus,vorbis,flac,alac,wmav1,wmav2,wmapro,amrnb,amrwb,\
    pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,\
    pcm_f64le,pcm_f64be,pcm_bluray,pcm_dvd,aac_latm,dca,truehd,mlp,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_swf,adpcm_yamaha,nellymoser,speex";

/// Bytes asked from the file at once.
const READ_BYTES: usize = 64 * 1024;

/// Packets that fill the 2,048 bytes of FFmpeg's first look at a file.
const STUFFING: usize = 12;

/// Most streams that FFmpeg opens: far more than are accepted, so that they can be counted. At one more it gives up, with the
/// error that also stands for a lack of memory.
const OPENED_STREAMS: usize = 10_000;

/// Most streams that are counted where FFmpeg gave up.
const COUNTED_STREAMS: usize = 100_000;

/// Bytes looked at to find out what a file is.
const HEAD_BYTES: usize = 4 << 10;

/// A cursor of its own over a file that others may read too; it never moves the file's offset.
struct Cursor {
    file: File,
    start: Start,
    /// Counted from there.
    at: u64,
}

/// Where a file begins for whoever reads it.
#[derive(Default)]
struct Start {
    /// Bytes of the file that are left out.
    at: u64,
    /// Bytes that stand before the others.
    before: Vec<u8>,
    /// Bytes that are read in place of those of the file.
    patches: Vec<Patch>,
}

impl Start {
    /// How a file with these first bytes is read. A transport stream begins with its first whole packet, and stuffing
    /// before it, so many that FFmpeg's first look at a file sees nothing else: without its tables, which may come later, it
    /// would be taken for what its packets carry.
    fn of(file: &File, head: &[u8]) -> Self {
        match transport::first_packet(head).filter(|_| !has_a_signature(head)) {
            Some((offset, layout)) => {
                let at = u64::try_from(offset).unwrap_or(0);
                let mut bytes = vec![0; LOOKED_THROUGH];
                let count = file.read_at(&mut bytes, at).unwrap_or(0);
                let mut before = layout.stuffing(STUFFING);
                before.extend(transport_stream::missing(
                    bytes.get(..count).unwrap_or_default(),
                    layout,
                ));
                Self {
                    at,
                    before,
                    ..Self::default()
                }
            }
            None => Self {
                patches: fragments::repairs(file),
                ..Self::default()
            },
        }
    }

    /// Overwrites bytes of the file from a position on with those that are read in their place.
    fn patch(&self, bytes: &mut [u8], at: u64) {
        let end = at.saturating_add(bytes.len() as u64);
        let first = self.patches.partition_point(|patch| patch.end() <= at);
        for patch in self.patches.iter().skip(first).take_while(|patch| patch.at < end) {
            for (place, byte) in (patch.at..).zip(&patch.bytes) {
                let offset = place.checked_sub(at).and_then(|offset| usize::try_from(offset).ok());
                if let Some(to) = offset.and_then(|offset| bytes.get_mut(offset)) {
                    *to = *byte;
                }
            }
        }
    }

    /// The place in the file of a place behind the bytes that stand before it.
    fn place(&self, at: u64) -> u64 {
        let before = u64::try_from(self.before.len()).unwrap_or(0);
        at.saturating_sub(before).saturating_add(self.at)
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = usize::try_from(self.at).ok().and_then(|at| self.start.before.get(at..));
        let count = match before.filter(|before| !before.is_empty()) {
            Some(mut before) => before.read(buffer)?,
            None => {
                let place = self.start.place(self.at);
                let count = self.file.read_at(buffer, place)?;
                self.start.patch(buffer.get_mut(..count).unwrap_or_default(), place);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let base = match to {
            SeekFrom::Start(at) => {
                self.at = at;
                return Ok(at);
            }
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => {
                let length = self.file.metadata()?.len().saturating_sub(self.start.at);
                let before = u64::try_from(self.start.before.len()).unwrap_or(0);
                length.saturating_add(before).checked_add_signed(by)
            }
        };
        self.at = base.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Opens a source with the allowed demuxers and reads its headers.
///
/// # Errors
/// [`Code::NotMedia`] when it is none of the containers, [`Code::SourceDamaged`] when it is one and cannot be read,
/// [`Code::CodecUnsupported`] when it is an animated WebP, of which FFmpeg 5.1 decodes nothing.
pub(crate) fn open_source(source: &File, cancel: &Cancel) -> Result<Input, Failure> {
    let mut head = [0; HEAD_BYTES];
    let count = source.read_at(&mut head, 0).unwrap_or(0);
    let head = head.get(..count).unwrap_or_default();
    let opened = open(source, Start::of(source, head), CONTAINERS, cancel).and_then(|mut input| {
        if let Err(failure) = check_streams(&input) {
            return Ok(Err(failure));
        }
        open::find_stream_info(&mut input, &[("max_pixels", &limits::MOST_PIXELS.to_string())])?;
        Ok(check_streams(&input).map(|()| input))
    });
    match opened {
        Ok(Ok(input)) if input.nb_streams() == 0 => Err(Failure::input(Code::SourceDamaged, "no streams")),
        Ok(checked) => checked,
        Err(error) => {
            cancel.check()?;
            check_tracks(source)?;
            Err(not_opened(head, error))
        }
    }
}

/// Why a source with these first bytes was not opened.
fn not_opened(head: &[u8], error: Error) -> Failure {
    // The demuxer refuses sides whose product is beyond its arithmetic.
    let size = signature::png_size(head).unwrap_or_default();
    if let Err(too_large) = limits::bound_picture(size, limits::MOST_PIXELS) {
        return too_large;
    }
    if signature::webp(head) == Some(Motion::Animated) {
        let detail = "animated WebP; accepted: the same as GIF, APNG or a video";
        return Failure::new(FailureKind::Unsupported, Code::CodecUnsupported, detail);
    }
    // Even "out of memory" is damage here: a header that asks for more than there is.
    if starts_like_media(head) {
        let detail = format!("the index or the headers: {}", error::words(error));
        Failure::input(Code::SourceDamaged, detail)
    } else {
        Failure::input(Code::NotMedia, "no container that we open")
    }
}

/// Opens a file that we made.
///
/// # Errors
/// FFmpeg's own.
pub(crate) fn open_output(file: &File, cancel: &Cancel) -> Result<Input, Error> {
    let mut input = open(file, Start::default(), OUTPUT_CONTAINERS, cancel)?;
    open::find_stream_info(&mut input, &[])?;
    Ok(input)
}

/// Opens a rendition of ours that is read as one file.
///
/// # Errors
/// FFmpeg's own.
pub(crate) fn open_rendition(joined: ByteRangeReader, cancel: &Cancel) -> Result<Input, Error> {
    let mut input = open_stream(joined, "mov", cancel)?;
    open::find_stream_info(&mut input, &[])?;
    Ok(input)
}

/// Refuses a file that FFmpeg did not open because it has more streams than that opens.
fn check_tracks(source: &File) -> Result<(), Failure> {
    let counted =
        mp4::count_tracks(source, COUNTED_STREAMS).or_else(|_| matroska::count_tracks(source, COUNTED_STREAMS));
    match counted {
        Ok(count) if count > OPENED_STREAMS => limits::bound_streams((0, limits::MOST_STREAMS), count),
        _ => Ok(()),
    }
}

/// Bounds the streams, and the pictures whose size the container tells, before anything of them is decoded.
fn check_streams(input: &Input) -> Result<(), Failure> {
    for stream in input.streams() {
        let facts = parameters::codec_facts(&stream.parameters());
        limits::bound_picture((facts.width_px, facts.height_px), limits::MOST_PIXELS)?;
    }
    let of_media = |stream: &Stream<'_>| {
        let kind = parameters::codec_facts(&stream.parameters()).kind;
        let cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
        matches!(kind, MediaType::Video | MediaType::Audio) && !cover
    };
    let media = input.streams().filter(of_media).count();
    limits::bound_streams((media, limits::MOST_STREAMS), input.streams().count() - media)
}

fn open(file: &File, start: Start, containers: &str, cancel: &Cancel) -> Result<Input, Error> {
    let file = file.try_clone().map_err(|error| Error::Other {
        errno: error.raw_os_error().unwrap_or(0),
    })?;
    open_stream(Cursor { file, start, at: 0 }, containers, cancel)
}

fn open_stream<S: Read + Seek + Send + 'static>(stream: S, containers: &str, cancel: &Cancel) -> Result<Input, Error> {
    let stream = StreamIo::from_read_seek_with_capacity(stream, READ_BYTES)?;
    let options: Dictionary<'_> = [
        ("format_whitelist", containers),
        ("codec_whitelist", DECODERS),
        // Nothing is opened by name: not a playlist's entry, not a referenced track.
        ("protocol_whitelist", "none"),
        ("enable_drefs", "0"),
        ("scan_all_pmts", "1"),
        // A picture of an APNG without a delay is shown for 100 ms, as browsers do and as the demuxer of GIF does by itself.
        ("default_fps", "10"),
        ("max_streams", &OPENED_STREAMS.to_string()),
    ]
    .into_iter()
    .collect();
    let cancel = cancel.clone();
    open::open_headers(stream, options, move || cancel.is_raised())
}

/// The decoder of the allow-list for a stream, when there is one.
pub(crate) fn decoder(stream: &Stream<'_>) -> Option<Codec> {
    let codec = match parameters::codec_facts(&stream.parameters()).name {
        // FFmpeg's own decoders leave alpha out.
        "vp8" if has_alpha_layer(stream) => ffmpeg_next::decoder::find_by_name("libvpx")?,
        "vp9" if has_alpha_layer(stream) => ffmpeg_next::decoder::find_by_name("libvpx-vp9")?,
        _ => parameters::decoder_for(&stream.parameters())?,
    };
    DECODERS.split(',').any(|name| name == codec.name()).then_some(codec)
}

/// Whether the first bytes are those of a container we open, so that a failure means damage.
fn starts_like_media(head: &[u8]) -> bool {
    has_a_signature(head) || transport::first_packet(head).is_some()
}

/// Whether a file begins with the signature of a container.
fn has_a_signature(head: &[u8]) -> bool {
    let at = |from: usize, text: &[u8]| head.get(from..from + text.len()) == Some(text);
    let boxes: [&[u8]; 8] = [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot", b"styp"];
    let starts: [&[u8]; 9] = [
        &[0x1a, 0x45, 0xdf, 0xa3],
        b"FLV\x01",
        b"OggS",
        b"ID3",
        b"fLaC",
        &[0, 0, 1, 0xba],
        &[0, 0, 1, 0xb3],
        &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11],
        b"RF64",
    ];
    let riff = at(0, b"RIFF") && (at(8, b"AVI ") || at(8, b"WAVE"));
    let animated = signature::is_gif(head) || signature::png(head) == Some(Motion::Animated);
    let studio = signature::is_mxf(head) || signature::is_dv(head);
    let told = boxes.into_iter().any(|name| at(4, name)) || starts.into_iter().any(|magic| at(0, magic));
    told || riff || animated || studio
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
