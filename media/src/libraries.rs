//! FFmpeg's shared libraries, loaded by the processes that call them and by no other.
//!
//! They bring some 160 libraries along. Linked in the ordinary way, every process of the one binary would map them all:
//! the API, which never opens a media file, held more memory for them than for itself. So each function of FFmpeg that is
//! used has a stub here that bears its name and jumps to the real one, and nothing is left that the linker would ask the
//! libraries for. Where the real one is stands in a slot: at first each slot leads to a call of [`load`], later all of them
//! are filled and cannot be written any more.
//!
//! A function without a stub works, too: the linker then makes the binary depend on its library again, as it does for all
//! of them on processors other than x86-64. `tests/it/processes.rs` looks for that. It takes lld, which the build asks for,
//! to see that what nobody calls needs no library.
#![allow(
    unsafe_code,
    reason = "a leaf that does what a dynamic linker does; each block tells why it holds"
)]

use ffmpeg_next::ffi;
use std::ffi::{CStr, CString, c_void};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What every FFmpeg of this version has, in the order of [`NAMES`] and of the slots.
macro_rules! stubs {
    ($($name:ident)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        std::arch::global_asm!(
            // Pages of their own, so that they can be made unwritable.
            ".pushsection .data.rushes_ffmpeg, \"aw\", @progbits",
            ".balign 4096",
            "rushes_ffmpeg_slots:",
            $(concat!("rushes_slot_", stringify!($name), ": .quad rushes_first_", stringify!($name)),)+
            ".balign 4096",
            "rushes_ffmpeg_slots_end:",
            ".popsection",
            ".pushsection .text.rushes_ffmpeg, \"ax\", @progbits",
            // What unwinds a stack finds its way through the stubs (`.cfi_…`).
            $(
                concat!(".globl ", stringify!($name)),
                // Ours alone: the libraries call each other and not these.
                concat!(".hidden ", stringify!($name)),
                concat!(".type ", stringify!($name), ", @function"),
                concat!(stringify!($name), ":"),
                ".cfi_startproc",
                concat!("jmp qword ptr [rip + rushes_slot_", stringify!($name), "]"),
                concat!("rushes_first_", stringify!($name), ": call rushes_ffmpeg_first"),
                concat!("jmp ", stringify!($name)),
                ".cfi_endproc",
            )+
            // The first call of all. Its arguments (System V ABI, §3.2.3) are kept while the libraries are loaded: six
            // registers, the number of vector registers in `rax`, and the eight of these. With the two return addresses the
            // stack is aligned to 16 bytes before the call.
            "rushes_ffmpeg_first:",
            ".cfi_startproc",
            "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
            "sub rsp, 136",
            ".cfi_adjust_cfa_offset 192",
            "movups [rsp], xmm0", "movups [rsp + 16], xmm1", "movups [rsp + 32], xmm2", "movups [rsp + 48], xmm3",
            "movups [rsp + 64], xmm4", "movups [rsp + 80], xmm5", "movups [rsp + 96], xmm6", "movups [rsp + 112], xmm7",
            "call {load_or_die}",
            "movups xmm0, [rsp]", "movups xmm1, [rsp + 16]", "movups xmm2, [rsp + 32]", "movups xmm3, [rsp + 48]",
            "movups xmm4, [rsp + 64]", "movups xmm5, [rsp + 80]", "movups xmm6, [rsp + 96]", "movups xmm7, [rsp + 112]",
            "add rsp, 136",
            "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
            ".cfi_adjust_cfa_offset -192",
            "ret",
            ".cfi_endproc",
            ".popsection",
            load_or_die = sym load_or_die,
        );
    };
}

stubs! {
    av_channel_layout_default av_channel_layout_uninit av_dict_free av_dict_get av_dict_set av_frame_alloc
    av_frame_free av_frame_get_buffer av_frame_ref av_frame_unref av_free av_freep av_get_bytes_per_sample
    av_image_get_buffer_size
    av_log_default_callback av_log_set_callback av_log_set_level av_mallocz av_opt_set_dict av_pix_fmt_desc_get
    av_sample_fmt_is_planar av_strdup av_strerror
    swr_alloc_set_opts swr_convert_frame swr_free swr_get_delay swr_init
    av_codec_is_decoder av_codec_is_encoder av_init_packet av_new_packet av_packet_ref av_packet_rescale_ts
    av_packet_unref avcodec_alloc_context3 avcodec_close avcodec_find_decoder avcodec_find_decoder_by_name
    avcodec_find_encoder avcodec_find_encoder_by_name avcodec_flush_buffers avcodec_free_context avcodec_get_class
    avcodec_get_name avcodec_open2 avcodec_parameters_alloc avcodec_parameters_copy avcodec_parameters_free
    avcodec_parameters_from_context avcodec_parameters_to_context avcodec_receive_frame avcodec_receive_packet
    avcodec_send_frame avcodec_send_packet avcodec_version
    av_find_best_stream av_fmt_ctx_get_duration_estimation_method av_interleaved_write_frame av_read_frame av_seek_frame
    av_stream_get_side_data av_write_frame av_write_trailer avformat_alloc_context avformat_alloc_output_context2
    avformat_close_input avformat_find_stream_info avformat_free_context avformat_index_get_entries_count
    avformat_index_get_entry avformat_new_stream avformat_open_input avformat_seek_file avformat_write_header
    avio_alloc_context avio_close avio_context_free avio_flush avio_open
    av_buffersink_get_frame av_buffersink_get_time_base av_buffersrc_add_frame avfilter_get_by_name
    avfilter_graph_alloc avfilter_graph_config avfilter_graph_create_filter avfilter_graph_free
    avfilter_graph_get_filter avfilter_graph_parse_ptr avfilter_inout_alloc avfilter_inout_free
}

/// Each library and the version whose headers this was compiled with.
const LIBRARIES: [(&str, i32); 5] = [
    ("avutil", ffi::LIBAVUTIL_VERSION_MAJOR),
    ("swresample", ffi::LIBSWRESAMPLE_VERSION_MAJOR),
    ("avcodec", ffi::LIBAVCODEC_VERSION_MAJOR),
    ("avformat", ffi::LIBAVFORMAT_VERSION_MAJOR),
    ("avfilter", ffi::LIBAVFILTER_VERSION_MAJOR),
];

/// Loads FFmpeg, unless that was done. To be called before this process locks itself in: afterwards it can read no library.
///
/// # Errors
/// What is missing, in a sentence.
pub fn load() -> Result<(), &'static str> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    match LOADED.get_or_init(fill) {
        Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

fn fill() -> Result<(), String> {
    unsafe extern "C" {
        static rushes_ffmpeg_slots: [AtomicPtr<c_void>; NAMES.len()];
        static rushes_ffmpeg_slots_end: u8;
    }
    let libraries: Vec<_> = LIBRARIES
        .iter()
        .map(|(name, version)| open(&format!("lib{name}.so.{version}")))
        .collect::<Result<_, _>>()?;
    let found: Vec<_> = NAMES
        .iter()
        .map(|name| find(&libraries, name))
        .collect::<Result<_, _>>()?;
    // SAFETY: there are as many slots as names. Other threads only jump through them, and each write is one of a pointer to
    // the function whose name the slot bears.
    let slots = unsafe { &rushes_ffmpeg_slots };
    for (slot, function) in slots.iter().zip(found) {
        slot.store(function, Ordering::Release);
    }
    // SAFETY: from the first of the slots to the end behind them are whole pages with nothing else in them.
    let refused = unsafe {
        let (start, end) = (&raw const rushes_ffmpeg_slots, &raw const rushes_ffmpeg_slots_end);
        libc::mprotect(start.cast_mut().cast(), end.addr() - start.addr(), libc::PROT_READ)
    };
    if refused == 0 {
        Ok(())
    } else {
        Err("the slots of FFmpeg stay writable".to_owned())
    }
}

/// Opens a library for good.
fn open(name: &str) -> Result<*mut c_void, String> {
    let file = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the name is a text that ends with a zero. What runs when one of these libraries is loaded is what would have
    // run before `main` had the linker been told of it.
    let library = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return Err(missing(name, "cannot be loaded"));
    }
    Ok(library)
}

/// The function of this name in the library that has it.
fn find(libraries: &[*mut c_void], name: &str) -> Result<*mut c_void, String> {
    let symbol = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the libraries were opened and are never closed; the name is a text that ends with a zero.
    let mut found = libraries
        .iter()
        .map(|library| unsafe { libc::dlsym(*library, symbol.as_ptr()) });
    found
        .find(|function| !function.is_null())
        .ok_or_else(|| missing(name, "is not there"))
}

/// The sentence about what is missing. What the dynamic linker says, with its paths, goes to the log of the child.
fn missing(name: &str, what: &str) -> String {
    // SAFETY: null, or a text that ends with a zero and lives until the next call of this thread.
    let text = unsafe { libc::dlerror() };
    if !text.is_null() {
        // SAFETY: as above.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    format!("FFmpeg's {name} {what} on this machine")
}

/// For a first call that nobody prepared: there is no way to refuse it.
extern "C" fn load_or_die() {
    if let Err(error) = load() {
        panic!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let refused = open("libavnothing.so.1").unwrap_err();
        assert!(refused.contains("libavnothing.so.1"), "{refused}");
        let library = open(&format!("libavutil.so.{}", ffi::LIBAVUTIL_VERSION_MAJOR)).unwrap();
        let refused = find(&[library], "av_nothing").unwrap_err();
        assert!(refused.contains("av_nothing"), "{refused}");
    }

    #[test]
    fn first_calls_from_many_threads_get_their_answers() {
        // SAFETY: it takes nothing and returns a number.
        let call = || unsafe { ffi::avcodec_version() };
        let versions: Vec<u32> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let major = ffi::LIBAVCODEC_VERSION_MAJOR.unsigned_abs();
        assert!(versions.iter().all(|version| version >> 16 == major), "{versions:x?}");
        assert_eq!(load(), Ok(()));
    }
}
