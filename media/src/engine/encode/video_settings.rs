//! Options of the video encoders. One table maps `speed` to the preset of each.

use domain::plan::VideoOrder;
use domain::recipe::{Speed, VideoCodec};
use ffmpeg_next::Dictionary;

/// The largest bit rate holds over so many seconds.
const BUFFER_S: u64 = 2;

/// Columns of VP9 narrower than this cost more than their threads gain (libvpx allows no narrower ones).
const MIN_TILE_PX: u32 = 256;

/// FFmpeg's name of the encoder of a codec.
pub(crate) const fn encoder_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "libx264",
        VideoCodec::H265 => "libx265",
        VideoCodec::Vp9 => "libvpx-vp9",
        VideoCodec::Av1 => "libsvtav1",
    }
}

/// The preset of an encoder for a speed; of libvpx it is `cpu-used`.
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

/// All options of the encoder of an order that are not facts of the picture. 0 threads leave the number to it.
pub(crate) fn options(order: &VideoOrder, threads: u32) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    options.set("g", &order.gop_frames.to_string());
    if order.fixed_gops {
        options.set("keyint_min", &order.gop_frames.to_string());
        options.set("sc_threshold", "0");
        // A keyframe that is asked for between them forgets all that was before, too.
        options.set("forced-idr", "1");
    }
    if let Some(bps) = order.max_bitrate_bps {
        options.set("maxrate", &bps.to_string());
        options.set("bufsize", &(bps * BUFFER_S).to_string());
    }
    match order.codec {
        VideoCodec::H264 => x264(order, threads, &mut options),
        VideoCodec::H265 => x265(order, threads, &mut options),
        VideoCodec::Vp9 => vpx(order, threads, &mut options),
        VideoCodec::Av1 => svt(order, threads, &mut options),
    }
    options
}

/// High profile.
fn x264(order: &VideoOrder, threads: u32, options: &mut Dictionary<'_>) {
    options.set("preset", preset(order.codec, order.speed));
    options.set("crf", &order.crf.to_string());
    // A CRF of 0 is lossless, which the High profile has not.
    options.set("profile", if order.crf == 0 { "high444" } else { "high" });
    // One and a half threads a core, as libx264 chooses for itself.
    let own = if threads < 2 { threads } else { threads + threads / 2 };
    options.set("threads", &own.to_string());
}

/// Main profile. Its workers are a pool; `threads` are pictures in the works at the same time.
fn x265(order: &VideoOrder, threads: u32, options: &mut Dictionary<'_>) {
    options.set("preset", preset(order.codec, order.speed));
    options.set("crf", &order.crf.to_string());
    options.set("profile", "main");
    let mut own = "log-level=none:open-gop=0".to_owned();
    if order.fixed_gops {
        own.push_str(":scenecut=0");
    }
    if threads > 0 {
        own.push_str(&format!(":pools={threads}"));
        options.set("threads", &(threads / 2).clamp(1, 4).to_string());
    }
    options.set("x265-params", &own);
}

fn vpx(order: &VideoOrder, threads: u32, options: &mut Dictionary<'_>) {
    let live = order.speed == Speed::Fastest;
    options.set("deadline", if live { "realtime" } else { "good" });
    options.set("cpu-used", preset(order.codec, order.speed));
    options.set("crf", &order.crf.to_string());
    // Constant quality; with a rate, that quality as long as the rate allows it.
    options.set("b", &order.max_bitrate_bps.unwrap_or(0).to_string());
    options.set("row-mt", "1");
    let columns = (order.picture.canvas.width_px / MIN_TILE_PX).min(threads.max(1));
    options.set("tile-columns", &columns.max(1).ilog2().to_string());
    options.set("threads", &threads.to_string());
}

fn svt(order: &VideoOrder, threads: u32, options: &mut Dictionary<'_>) {
    options.set("preset", preset(order.codec, order.speed));
    // FFmpeg takes a CRF of 0 for none.
    options.set("crf", &order.crf.max(1).to_string());
    if threads > 0 {
        options.set("svtav1-params", &format!("lp={threads}"));
    }
}
