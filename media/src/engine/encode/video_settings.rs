//! Options of the video encoders: libx264, libx265, libvpx-vp9 and SVT-AV1. One table maps `speed` to the preset of
//! each.

use domain::plan::VideoEncode;
use domain::recipe::{Speed, VideoCodec};
use ffmpeg_next::Dictionary;

/// Size of the rate control buffer (VBV) in seconds of the maximum bit rate.
const VBV_BUFFER_S: u64 = 2;

/// Narrowest tile of VP9 in pixels: the minimum of the format, 4 superblocks of 64.
const MIN_TILE_WIDTH_PX: u32 = 256;

/// FFmpeg's name for the encoder of a codec.
pub(crate) const fn encoder_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "libx264",
        VideoCodec::H265 => "libx265",
        VideoCodec::Vp9 => "libvpx-vp9",
        VideoCodec::Av1 => "libsvtav1",
    }
}

/// Preset of the encoder for a speed; `cpu-used` in the case of libvpx.
const fn preset(codec: VideoCodec, speed: Speed) -> &'static str {
    let [x264, x265, vpx, svt] = match speed {
        Speed::Fastest => ["ultrafast", "ultrafast", "8", "12"],
        Speed::Fast => ["veryfast", "veryfast", "5", "10"],
        Speed::Balanced => ["fast", "fast", "4", "8"],
        Speed::Good => ["slow", "slow", "2", "5"],
        Speed::Best => ["veryslow", "slower", "1", "3"],
    };
    match codec {
        VideoCodec::H264 => x264,
        VideoCodec::H265 => x265,
        VideoCodec::Vp9 => vpx,
        VideoCodec::Av1 => svt,
    }
}

/// Options of the encoder, except for the properties of the frames. With 0 threads, the encoder chooses their number.
pub(crate) fn options(encode: &VideoEncode, threads: u32) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    options.set("g", &encode.gop_frames.to_string());
    if encode.fixed_gops {
        options.set("keyint_min", &encode.gop_frames.to_string());
        options.set("sc_threshold", "0");
        // Requested keyframes are IDR frames as well, so that segments which begin with one can be decoded alone.
        options.set("forced-idr", "1");
    }
    if let Some(bps) = encode.max_bitrate_bps {
        options.set("maxrate", &bps.to_string());
        options.set("bufsize", &(bps * VBV_BUFFER_S).to_string());
    }
    match encode.codec {
        VideoCodec::H264 => x264(encode, threads, &mut options),
        VideoCodec::H265 => x265(encode, threads, &mut options),
        VideoCodec::Vp9 => vpx(encode, threads, &mut options),
        VideoCodec::Av1 => svt(encode, threads, &mut options),
    }
    options
}

/// libx264, High profile.
fn x264(encode: &VideoEncode, threads: u32, options: &mut Dictionary<'_>) {
    options.set("preset", preset(encode.codec, encode.speed));
    options.set("crf", &encode.crf.to_string());
    // CRF 0 is lossless, which the High profile does not support.
    options.set("profile", if encode.crf == 0 { "high444" } else { "high" });
    // 1.5 threads per core, as libx264 chooses by default.
    let count = if threads < 2 { threads } else { threads + threads / 2 };
    options.set("threads", &count.to_string());
}

/// libx265, Main profile. `pools` is the number of its worker threads; FFmpeg's `threads` is the number of frames that
/// are encoded at the same time.
fn x265(encode: &VideoEncode, threads: u32, options: &mut Dictionary<'_>) {
    options.set("preset", preset(encode.codec, encode.speed));
    options.set("crf", &encode.crf.to_string());
    options.set("profile", "main");
    let mut params = "log-level=none:open-gop=0".to_owned();
    if encode.fixed_gops {
        params.push_str(":scenecut=0");
    }
    if threads > 0 {
        params.push_str(&format!(":pools={threads}"));
        options.set("threads", &(threads / 2).clamp(1, 4).to_string());
    }
    options.set("x265-params", &params);
}

/// libvpx-vp9, with threads for rows and tile columns.
fn vpx(encode: &VideoEncode, threads: u32, options: &mut Dictionary<'_>) {
    let is_realtime = encode.speed == Speed::Fastest;
    options.set("deadline", if is_realtime { "realtime" } else { "good" });
    options.set("cpu-used", preset(encode.codec, encode.speed));
    options.set("crf", &encode.crf.to_string());
    // 0 selects constant quality. A bit rate selects constrained quality: that quality within the rate.
    options.set("b", &encode.max_bitrate_bps.unwrap_or(0).to_string());
    options.set("row-mt", "1");
    // `tile-columns` is the base-2 logarithm of their number.
    let columns = (encode.layout.canvas.width_px / MIN_TILE_WIDTH_PX).min(threads.max(1));
    options.set("tile-columns", &columns.max(1).ilog2().to_string());
    options.set("threads", &threads.to_string());
}

/// SVT-AV1. `lp` is the number of logical processors to use.
fn svt(encode: &VideoEncode, threads: u32, options: &mut Dictionary<'_>) {
    options.set("preset", preset(encode.codec, encode.speed));
    // FFmpeg treats CRF 0 as unset.
    options.set("crf", &encode.crf.max(1).to_string());
    if threads > 0 {
        options.set("svtav1-params", &format!("lp={threads}"));
    }
}
