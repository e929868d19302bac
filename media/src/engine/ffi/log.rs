//! FFmpeg log callback. It passes a limited number of errors to standard error, and counts damaged frames that the
//! H.264 decoder reports only in its log.
//!
//! With frame threads, the H.264 decoder returns a frame before its slices are decoded, so neither the return value nor
//! the flags of the frame show the damage. The callback recognizes the message by its format string and finds the
//! counter through the `opaque` field of the codec context, which FFmpeg copies to the contexts of its threads.

use crate::engine::shortage;
use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Maximum number of FFmpeg log lines that reach standard error.
const MAX_LINES: u32 = 100;

static LINES: AtomicU32 = AtomicU32::new(0);

/// Start of the format string that the H.264 decoder logs for a damaged slice (`libavcodec/h264_slice.c`).
const DAMAGE_MESSAGE: &[u8] = b"error while decoding MB";

/// Number of damaged frames that one decoder has logged.
pub(crate) struct ReportedDamage {
    frames: AtomicU32,
    /// `frame_number` of the latest damaged frame; -1 at first.
    latest: AtomicI32,
}

impl ReportedDamage {
    /// Number of damaged frames so far.
    pub(crate) fn frames(&self) -> u32 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Counts a frame once, although it may have several damaged slices.
    fn record(&self, frame: c_int) {
        if self.latest.swap(frame, Ordering::Relaxed) != frame {
            self.frames.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Installs the log callback: the first [`MAX_LINES`] errors go to standard error, all other messages are dropped.
pub(crate) fn limit_log() {
    unsafe extern "C" fn log(class: *mut c_void, level: c_int, format: *const c_char, args: *mut ffi::__va_list_tag) {
        if level > ffi::AV_LOG_ERROR {
            return;
        }
        // SAFETY: FFmpeg calls the callback with a NUL-terminated format, and null or a struct whose first field points
        // to its `AVClass`.
        unsafe {
            record_damage(class, format);
            check_memory(format);
        }
        if LINES.fetch_add(1, Ordering::Relaxed) < MAX_LINES {
            // SAFETY: the arguments of FFmpeg are passed on unchanged.
            unsafe { ffi::av_log_default_callback(class, level, format, args) };
        }
    }
    // SAFETY: both functions are thread-safe setters; `log` has the signature of a log callback and a static lifetime.
    unsafe {
        ffi::av_log_set_level(ffi::AV_LOG_ERROR);
        ffi::av_log_set_callback(Some(log));
    }
}

/// Attaches a damage counter to a decoder context that is not open yet. The counter is leaked on purpose, so that the
/// callback can never see a dangling pointer: a child serves one task with a few decoders.
pub(crate) fn count_damage(decoder: &mut Context) -> &'static ReportedDamage {
    let reported_damage: &'static ReportedDamage = Box::leak(Box::new(ReportedDamage {
        frames: AtomicU32::new(0),
        latest: AtomicI32::new(-1),
    }));
    // SAFETY: `opaque` belongs to the owner of the context. Only this function writes it, and FFmpeg only copies it to
    // the contexts of the decoder's threads.
    unsafe { (*decoder.as_mut_ptr()).opaque = (&raw const *reported_damage).cast_mut().cast() };
    reported_damage
}

/// Counts a frame as damaged if the message says so.
///
/// # Safety
/// The arguments must be those of a log callback.
unsafe fn record_damage(class: *mut c_void, format: *const c_char) {
    // SAFETY: a struct with the class of codec contexts is one. Its `opaque` is null or was set by `count_damage`,
    // whose counters are never freed.
    unsafe {
        let is_codec = !class.is_null() && *class.cast::<*const ffi::AVClass>() == ffi::avcodec_get_class();
        if is_codec && CStr::from_ptr(format).to_bytes().starts_with(DAMAGE_MESSAGE) {
            let context = class.cast::<ffi::AVCodecContext>();
            if let Some(reported_damage) = (*context).opaque.cast::<ReportedDamage>().as_ref() {
                reported_damage.record((*context).frame_number);
            }
        }
    }
}

/// Looks for a shortage of the machine if the message tells of a failed allocation.
///
/// # Safety
/// The format must be that of a log callback.
unsafe fn check_memory(format: *const c_char) {
    // SAFETY: the format ends with NUL.
    let format = unsafe { CStr::from_ptr(format) }.to_string_lossy();
    if domain::is_failed_allocation(&format) {
        shortage::check_memory();
    }
}

/// Limits the log of SVT-AV1, which bypasses the log of FFmpeg, to errors.
pub(crate) fn quiet_encoders() {
    // SAFETY: called before FFmpeg starts threads, so no C code reads the environment at the same time. Rust's own
    // accesses are locked.
    unsafe { std::env::set_var("SVT_LOG", "1") };
}
