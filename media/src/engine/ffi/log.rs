//! Log of FFmpeg: errors go to the standard error, and damage that only the log of a decoder tells is counted.

use ffmpeg_next::codec::Context;
use ffmpeg_next::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Most lines of FFmpeg's own that reach the standard error.
const MAX_LINES: u32 = 100;

static LINES: AtomicU32 = AtomicU32::new(0);

/// What the decoder of H.264 says of a slice that is damaged. On several threads it has given the picture away by then.
const DAMAGE: &[u8] = b"error while decoding MB";

/// How many pictures of one decoder were damaged, as it said.
pub(crate) struct ReportedDamage {
    frames: AtomicU32,
    /// The number of the last of them.
    last: AtomicI32,
}

impl ReportedDamage {
    /// Pictures so far.
    pub(crate) fn frames(&self) -> u32 {
        self.frames.load(Ordering::Relaxed)
    }

    /// A picture may have several damaged slices.
    fn note(&self, frame: c_int) {
        if self.last.swap(frame, Ordering::Relaxed) != frame {
            self.frames.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Errors go to the standard error, the first hundred of them; all else is dropped.
pub(crate) fn limit_log() {
    unsafe extern "C" fn log(class: *mut c_void, level: c_int, format: *const c_char, args: *mut ffi::__va_list_tag) {
        if level > ffi::AV_LOG_ERROR {
            return;
        }
        // SAFETY: FFmpeg gives its log callback a format that ends with a zero, and null or something that begins with
        // a pointer to its class.
        unsafe { note(class, format) };
        if LINES.fetch_add(1, Ordering::Relaxed) < MAX_LINES {
            // SAFETY: the arguments are those that FFmpeg gave to its log callback, handed on unchanged.
            unsafe { ffi::av_log_default_callback(class, level, format, args) };
        }
    }
    // SAFETY: both functions are thread-safe setters; `log` has the signature of a log callback and lives for ever.
    unsafe {
        ffi::av_log_set_level(ffi::AV_LOG_ERROR);
        ffi::av_log_set_callback(Some(log));
    }
}

/// Has what a decoder says of its pictures counted; it is not open yet. The count is never freed: a child serves one
/// task, and has a few decoders.
pub(crate) fn count_damage(decoder: &mut Context) -> &'static ReportedDamage {
    let reported_damage: &'static ReportedDamage = Box::leak(Box::new(ReportedDamage {
        frames: AtomicU32::new(0),
        last: AtomicI32::new(-1),
    }));
    // SAFETY: the field is there for those who own the context; nobody else of ours writes it, and FFmpeg only copies it
    // to the contexts of the decoder's threads.
    unsafe { (*decoder.as_mut_ptr()).opaque = (&raw const *reported_damage).cast_mut().cast() };
    reported_damage
}

/// Counts a complaint, when it is one.
///
/// # Safety
/// The arguments are those of a log callback.
unsafe fn note(class: *mut c_void, format: *const c_char) {
    // SAFETY: as above; what has the class of codec contexts is one, and its `opaque` is null or was set by `listen`,
    // whose counts live for ever.
    unsafe {
        let is_codec = !class.is_null() && *class.cast::<*const ffi::AVClass>() == ffi::avcodec_get_class();
        if is_codec && CStr::from_ptr(format).to_bytes().starts_with(DAMAGE) {
            let context = class.cast::<ffi::AVCodecContext>();
            if let Some(reported_damage) = (*context).opaque.cast::<ReportedDamage>().as_ref() {
                reported_damage.note((*context).frame_number);
            }
        }
    }
}

/// Lets SVT-AV1, which has a log of its own, tell errors only.
pub(crate) fn quiet_encoders() {
    // SAFETY: called before anything of FFmpeg runs, so that no C code reads the environment at the same time; Rust
    // locks its own accesses.
    unsafe { std::env::set_var("SVT_LOG", "1") };
}
