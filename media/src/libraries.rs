//! Loads the shared libraries of FFmpeg on demand, so that only media children map them.
//!
//! *Problem.* FFmpeg depends on some 160 shared libraries. Backend, worker and child are one executable. Linked in the
//! ordinary way, each of these processes would map all libraries, and an API process, which never opens a media file,
//! would use more memory for them than for itself.
//!
//! *Mechanism.* Lazy binding, as by a dynamic linker:
//!
//! 1. Each function of FFmpeg that is called has a *stub* here: a symbol with its name that jumps through a *slot*, a
//!    pointer in memory. The static linker resolves all references to the stubs, so the executable depends on no
//!    library of FFmpeg.
//! 2. Each slot first points to code that calls [`load`] and then repeats the jump. So a call before [`load`] works,
//!    too.
//! 3. [`load`] opens the libraries with `dlopen`, looks up all functions with `dlsym`, fills the slots, and makes their
//!    pages read-only.
//!
//! *Invariants.* Slots are written before the process is confined and never afterwards. A function without a stub still
//! works, but the linker then makes the executable depend on its library; `tests/it/processes.rs` fails in this case.
//! The build uses lld, which drops dependencies that only unused code has.
//!
//! *Rejected.* Calling FFmpeg through function pointers: the crate `ffmpeg-next` calls symbols.
//!
//! On other architectures FFmpeg is linked in the ordinary way.
#![allow(unsafe_code, reason = "a leaf module that does the work of a dynamic linker")]

use ffmpeg_next::ffi;
use std::ffi::{CStr, CString, c_void};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Generates a stub and a slot for each function, and [`NAMES`] in the same order.
macro_rules! stubs {
    ($($name:ident)+) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        std::arch::global_asm!(
            // The slots fill whole pages, so that these can be made read-only.
            ".pushsection .data.rushes_ffmpeg, \"aw\", @progbits",
            ".balign 4096",
            "rushes_ffmpeg_slots:",
            $(concat!("rushes_slot_", stringify!($name), ": .quad rushes_first_", stringify!($name)),)+
            ".balign 4096",
            "rushes_ffmpeg_slots_end:",
            ".popsection",
            ".pushsection .text.rushes_ffmpeg, \"ax\", @progbits",
            // The `.cfi_…` directives let debuggers and panics unwind the stack through the stubs.
            $(
                concat!(".globl ", stringify!($name)),
                // Hidden: calls between the libraries must not go through these stubs.
                concat!(".hidden ", stringify!($name)),
                concat!(".type ", stringify!($name), ", @function"),
                concat!(stringify!($name), ":"),
                ".cfi_startproc",
                concat!("jmp qword ptr [rip + rushes_slot_", stringify!($name), "]"),
                concat!("rushes_first_", stringify!($name), ": call rushes_ffmpeg_first"),
                concat!("jmp ", stringify!($name)),
                ".cfi_endproc",
            )+
            // Called by a stub whose slot is not filled yet. Saves the registers that hold arguments (System V ABI,
            // §3.2.3) while the libraries are loaded: six general registers, `rax` (the number of vector registers
            // used), and eight vector registers. Two return addresses, seven pushes and 136 bytes are 208 bytes, so the
            // stack is aligned to 16 bytes at the call.
            "rushes_ffmpeg_first:",
            ".cfi_startproc",
            "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
            "sub rsp, 136",
            ".cfi_adjust_cfa_offset 192",
            "movups [rsp], xmm0", "movups [rsp + 16], xmm1", "movups [rsp + 32], xmm2", "movups [rsp + 48], xmm3",
            "movups [rsp + 64], xmm4", "movups [rsp + 80], xmm5", "movups [rsp + 96], xmm6", "movups [rsp + 112], xmm7",
            "call {load_or_panic}",
            "movups xmm0, [rsp]", "movups xmm1, [rsp + 16]", "movups xmm2, [rsp + 32]", "movups xmm3, [rsp + 48]",
            "movups xmm4, [rsp + 64]", "movups xmm5, [rsp + 80]", "movups xmm6, [rsp + 96]", "movups xmm7, [rsp + 112]",
            "add rsp, 136",
            "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
            ".cfi_adjust_cfa_offset -192",
            "ret",
            ".cfi_endproc",
            ".popsection",
            load_or_panic = sym load_or_panic,
        );
    };
}

stubs! {
    av_channel_layout_copy av_channel_layout_default av_channel_layout_uninit av_dict_free av_dict_get av_dict_set av_frame_alloc
    av_frame_free av_frame_get_buffer av_frame_ref av_frame_unref av_free av_freep av_get_bytes_per_sample
    av_image_get_buffer_size
    av_log_default_callback av_log_set_callback av_log_set_level av_mallocz av_opt_set_dict av_pix_fmt_desc_get
    av_sample_fmt_is_planar av_samples_set_silence av_strdup av_strerror
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

/// Libraries, with the major version whose headers were used at compile time.
const LIBRARIES: [(&str, i32); 5] = [
    ("avutil", ffi::LIBAVUTIL_VERSION_MAJOR),
    ("swresample", ffi::LIBSWRESAMPLE_VERSION_MAJOR),
    ("avcodec", ffi::LIBAVCODEC_VERSION_MAJOR),
    ("avformat", ffi::LIBAVFORMAT_VERSION_MAJOR),
    ("avfilter", ffi::LIBAVFILTER_VERSION_MAJOR),
];

/// Loads FFmpeg; later calls return the same result. Call it before the process is confined, because a confined process
/// cannot read library files.
///
/// # Errors
/// A sentence that names the missing library or function.
pub fn load() -> Result<(), &'static str> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    match LOADED.get_or_init(fill_slots) {
        Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}

fn fill_slots() -> Result<(), String> {
    unsafe extern "C" {
        static rushes_ffmpeg_slots: [AtomicPtr<c_void>; NAMES.len()];
        static rushes_ffmpeg_slots_end: u8;
    }
    let libraries: Vec<_> = LIBRARIES
        .iter()
        .map(|(name, version)| open(&format!("lib{name}.so.{version}")))
        .collect::<Result<_, _>>()?;
    let functions: Vec<_> = NAMES
        .iter()
        .map(|name| find_function(&libraries, name))
        .collect::<Result<_, _>>()?;
    // SAFETY: there are as many slots as names. Other threads only jump through the slots. Each store is atomic, and
    // its value is the function that the slot is named after.
    let slots = unsafe { &rushes_ffmpeg_slots };
    for (slot, function) in slots.iter().zip(functions) {
        slot.store(function, Ordering::Release);
    }
    // SAFETY: the range from the first slot to the end label consists of whole pages that contain nothing else.
    let result = unsafe {
        let (start, end) = (&raw const rushes_ffmpeg_slots, &raw const rushes_ffmpeg_slots_end);
        libc::mprotect(start.cast_mut().cast(), end.addr() - start.addr(), libc::PROT_READ)
    };
    if result == 0 {
        Ok(())
    } else {
        Err("the function pointers of FFmpeg could not be made read-only".to_owned())
    }
}

/// Opens a library. It is never closed.
fn open(name: &str) -> Result<*mut c_void, String> {
    let file = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the name is a C string. The initializers that run are those that would have run before `main` if the
    // library were linked in the ordinary way.
    let library = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return Err(missing(name, "cannot be loaded"));
    }
    Ok(library)
}

/// Looks a function up in all libraries.
fn find_function(libraries: &[*mut c_void], name: &str) -> Result<*mut c_void, String> {
    let symbol = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the handles are of open libraries, which are never closed; the name is a C string.
    let mut addresses = libraries
        .iter()
        .map(|library| unsafe { libc::dlsym(*library, symbol.as_ptr()) });
    addresses
        .find(|address| !address.is_null())
        .ok_or_else(|| missing(name, "was not found"))
}

/// Builds the error sentence. The message of the dynamic linker contains paths, so it goes to standard error and not
/// into the failure.
fn missing(name: &str, problem: &str) -> String {
    // SAFETY: returns null or a C string that is valid until the next such call of this thread.
    let message = unsafe { libc::dlerror() };
    if !message.is_null() {
        // SAFETY: as above.
        let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
        let _ = writeln!(std::io::stderr(), "{message}");
    }
    format!("{name} of FFmpeg {problem} on this machine")
}

/// Loads the libraries for a call through an empty slot. The caller expects the result of an FFmpeg function, so there
/// is no way to return an error.
extern "C" fn load_or_panic() {
    if let Err(error) = load() {
        panic!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_missing_library_or_function() {
        let error = open("libavnothing.so.1").unwrap_err();
        assert!(error.contains("libavnothing.so.1"), "{error}");
        let library = open(&format!("libavutil.so.{}", ffi::LIBAVUTIL_VERSION_MAJOR)).unwrap();
        let error = find_function(&[library], "av_nothing").unwrap_err();
        assert!(error.contains("av_nothing"), "{error}");
    }

    #[test]
    fn concurrent_first_calls_load_the_libraries_and_return_results() {
        // SAFETY: it has no arguments and returns an integer.
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
