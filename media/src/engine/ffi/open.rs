//! Opens an input in two steps: headers first, then the first packets. FFmpeg's wrapper does both at once, which leaves no
//! moment to check what the headers ask for.

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

/// Reads the headers of a stream of bytes. `stop` is asked during all reading, now and later.
///
/// # Errors
/// FFmpeg's own.
pub(crate) fn open_headers(
    mut io: StreamIo,
    options: Dictionary<'_>,
    stop: impl FnMut() -> bool + Send + 'static,
) -> Result<Input, Error> {
    let interrupt = interrupt::new(Box::new(stop));
    // SAFETY: a new context, checked, is given bytes that outlive it: `Input` owns both and drops the context first. A
    // context that cannot be opened is freed by FFmpeg, and the bytes and the question by their owners afterwards. The
    // options are ours: what FFmpeg leaves of them is owned again.
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

/// Reads the first packets for what the headers do not tell. Decoders that this takes get `options`, those of streams
/// that only appear now excepted. Some of them forget the colors that the container tells where the packets tell none: they
/// are noted again.
///
/// # Errors
/// FFmpeg's own.
pub(crate) fn find_stream_info(input: &mut Input, options: &[(&str, &str)]) -> Result<(), Error> {
    let streams = usize::try_from(input.nb_streams()).unwrap_or(0);
    let colors: Vec<_> = input.streams().map(|stream| codec_color(&stream)).collect();
    let each = || options.iter().copied().collect::<Dictionary<'_>>();
    // SAFETY: as many dictionaries as there are streams; FFmpeg replaces them, and what it leaves is owned again.
    unsafe {
        let mut all: Vec<_> = (0..streams).map(|_| each().disown()).collect();
        let found = ffi::avformat_find_stream_info(input.as_mut_ptr(), all.as_mut_ptr());
        for left in all {
            drop(Dictionary::own(left));
        }
        if found < 0 {
            return Err(Error::from(found));
        }
    }
    for (stream, told) in input.streams().zip(colors) {
        let found = codec_color(&stream);
        let both = found.or(told);
        if both != found {
            set_codec_color(&stream, both);
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
    // SAFETY: the parameters of a live stream of an input that nothing else uses now; the enums are written as the numbers
    // that were read from the same fields.
    unsafe {
        let p = (*stream.as_ptr()).codecpar;
        (&raw mut (*p).color_primaries).cast::<c_int>().write(color.primaries);
        (&raw mut (*p).color_trc).cast::<c_int>().write(color.transfer);
        (&raw mut (*p).color_space).cast::<c_int>().write(color.matrix);
        (&raw mut (*p).color_range).cast::<c_int>().write(color.range);
    }
}
