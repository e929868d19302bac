//! Opens an input in two steps: `avformat_open_input` reads the headers, `avformat_find_stream_info` the first packets.
//! ffmpeg-next does both in one call, which leaves no point at which to check the headers against limits before
//! anything is decoded.

use crate::engine::ffi::frame::ColorNumbers;
use crate::engine::ffi::parameters;
use crate::engine::time::to_us;
use ffmpeg_next::error::ENOMEM;
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::util::interrupt;
use ffmpeg_next::{Dictionary, Error, ffi};
use std::ffi::c_int;
use std::ptr;

/// Opens an input on custom I/O and reads its headers. FFmpeg calls `stop` before each read, also after this function
/// has returned, and gives up if it returns `true`.
///
/// # Errors
/// The error of `avformat_open_input`.
pub(crate) fn open_headers(
    mut io: StreamIo,
    options: Dictionary<'_>,
    stop: impl FnMut() -> bool + Send + 'static,
) -> Result<Input, Error> {
    let interrupt = interrupt::new(Box::new(stop));
    // SAFETY: the new context is checked for null. Its I/O outlives it: `Input` owns both and drops the context first.
    // If opening fails, FFmpeg frees the context, and afterwards their owners drop I/O and callback. Ownership of the
    // options is given up for the call and taken back after it.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Error::Other { errno: ENOMEM });
        }
        (*context).interrupt_callback = interrupt.interrupt;
        (*context).pb = io.as_mut_ptr();
        (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, ptr::null(), ptr::null(), &raw mut options);
        drop(Dictionary::own(options));
        match opened {
            0 => Ok(Input::wrap_with_custom_io_and_interrupt(context, io, interrupt.guard)),
            error => Err(Error::from(error)),
        }
    }
}

/// Reads the first packets for properties that the headers lack. Decoders that are opened for this get `options`,
/// except those of streams that appear only now.
///
/// Some decoders overwrite the color of the container with "unspecified" if the bitstream has none. It is set again.
///
/// # Errors
/// The error of `avformat_find_stream_info`.
pub(crate) fn find_stream_info(input: &mut Input, options: &[(&str, &str)]) -> Result<(), Error> {
    let streams = usize::try_from(input.nb_streams()).unwrap_or(0);
    let colors: Vec<_> = input.streams().map(|stream| codec_color(&stream)).collect();
    // The decoders tell properties of frames, which do not depend on the loop filter.
    let options = || options.iter().copied().chain([("skip_loop_filter", "all")]);
    let stream_options = || options().collect::<Dictionary<'_>>();
    // SAFETY: there are as many dictionaries as streams. FFmpeg replaces them by the options that it did not use, which
    // are owned again afterwards.
    unsafe {
        let mut dictionaries: Vec<_> = (0..streams).map(|_| stream_options().disown()).collect();
        let result = ffi::avformat_find_stream_info(input.as_mut_ptr(), dictionaries.as_mut_ptr());
        for unused in dictionaries {
            drop(Dictionary::own(unused));
        }
        if result < 0 {
            return Err(Error::from(result));
        }
    }
    for (stream, container_color) in input.streams().zip(colors) {
        let color = codec_color(&stream);
        let merged = color.or(container_color);
        if merged != color {
            set_codec_color(&stream, merged);
        }
    }
    Ok(())
}

/// Lets a stream, and the source if it began later, begin at a time in units of the stream.
pub(crate) fn begin_at(input: &mut Input, stream: usize, time: i64) {
    let Some(base) = input.stream(stream).map(|stream| stream.time_base()) else {
        return;
    };
    let us = to_us(time, base);
    // SAFETY: `stream` is one of the streams, each of which is live as long as the context; plain fields are written.
    unsafe {
        let context = input.as_mut_ptr();
        (**(*context).streams.add(stream)).start_time = time;
        if (*context).start_time == ffi::AV_NOPTS_VALUE || (*context).start_time > us {
            (*context).start_time = us;
        }
    }
}

fn codec_color(stream: &Stream<'_>) -> ColorNumbers {
    parameters::codec_facts(&stream.parameters()).color
}

fn set_codec_color(stream: &Stream<'_>, color: ColorNumbers) {
    // SAFETY: the codec parameters belong to a live stream of an input that nothing else uses now. The enums are
    // written as integers that were read from the same fields.
    unsafe {
        let p = (*stream.as_ptr()).codecpar;
        (&raw mut (*p).color_primaries).cast::<c_int>().write(color.primaries);
        (&raw mut (*p).color_trc).cast::<c_int>().write(color.transfer);
        (&raw mut (*p).color_space).cast::<c_int>().write(color.matrix);
        (&raw mut (*p).color_range).cast::<c_int>().write(color.range);
    }
}
