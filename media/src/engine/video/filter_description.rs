//! Filter descriptions that convert a decoded frame to the color, size and pixel format of an output.
//!
//! A description is a filter chain in FFmpeg's syntax. It is built from numbers and closed choices only, never from
//! text of a user. The order of its filters:
//!
//! 1. alpha onto black (`premultiply`), before any filter mixes neighboring samples;
//! 2. orientation: `hflip`, `transpose`;
//! 3. `scale`, together with the conversion to 8 bits, 4:2:0, limited range and the matrix of the output; HDR and
//!    BT.2020 take `zscale` and `tonemap` after the scaler;
//! 4. `crop` or `pad` to the canvas;
//! 5. `overlay` of the watermark;
//! 6. conversion to the [`TargetFormat`].

use crate::engine::ffi::alpha;
use crate::engine::ffi::frame::{self, FrameFormat};
use crate::engine::probe::pixel_aspect;
use crate::engine::video::color::{self, Color};
use domain::plan::{FrameLayout, SourceVideo, Watermark};
use domain::probe::Size;
use domain::recipe::Position;
use ffmpeg_next::color::Space;

/// Format of the rendered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetFormat {
    /// 4:2:0, 8 bits, limited range, the matrix of [`color::output_color`].
    Movie,
    /// As `Movie`, for a bumper clip: with the matrix of the movie that it precedes or follows.
    Clip(Space),
    /// JPEG: 4:2:0, full range, the matrix of BT.601 (JFIF).
    Jpeg,
    /// PNG: RGB.
    Png,
    /// WebP: 4:2:0, limited range, the matrix of BT.601 (RFC 9649).
    Webp,
}

/// Name of the graph input for the image of the watermark.
pub(crate) const WATERMARK: &str = "watermark";

/// Algorithm of the scaler: the default of the `ffmpeg` command line.
const SCALER: &str = "flags=bicubic";

/// Flags of the scaler for conversions to RGB. With the default rounding, a still image differs visibly from the video
/// that it was taken from.
const EXACT_SCALER: &str = "flags=bicubic+accurate_rnd+full_chroma_int";

/// Description of the whole graph, from the input `in` to the output `out`. `watermark` is the size of the watermark's
/// image, if there is one.
pub(crate) fn description(
    input: &FrameFormat,
    source: &SourceVideo,
    layout: &FrameLayout,
    target: TargetFormat,
    watermark: Option<Size>,
) -> String {
    let coded = frame::frame_size(input);
    let output = color::output_color(&input.color, coded);
    let mut filters = flatten_alpha(input);
    filters.extend(orient(source));
    let upright = rotated(coded, source.quarter_turns);
    let display = display_size(upright, input, source);
    let fitted = fit_scaled(display, planned_size(source, coded), layout.scaled);
    filters.extend(scale_and_convert(input, upright, source.tone_map, fitted, output));
    filters.extend(pad(fitted, layout.scaled));
    filters.extend(crop_or_pad_to_canvas(layout));
    filters.push("setsar=1".to_owned());
    filters.push("format=yuv420p".to_owned());
    let mut all = format!("[in]{}", filters.join(","));
    if let (Some(placement), Some(size)) = (&layout.watermark, watermark) {
        all.push_str(&format!(
            "[canvas];[canvas][{WATERMARK}]{}",
            overlay_filter(placement, size, layout.canvas)
        ));
    }
    all.push_str(&convert_to_target(target, output.matrix));
    all.push_str("[out]");
    all
}

/// Filters from the frame of the output's color to the target format, each after a comma.
fn convert_to_target(target: TargetFormat, from: Space) -> String {
    let (matrix, number) = (color::scale_matrix_name(from), color::matrix_number(from));
    match target {
        TargetFormat::Movie => String::new(),
        TargetFormat::Clip(to) if to == from => String::new(),
        TargetFormat::Clip(to) => format!(
            ",scale={SCALER}:in_color_matrix={matrix}:in_range=tv:out_color_matrix={}:out_range=tv,format=yuv420p",
            color::scale_matrix_name(to)
        ),
        // From YUV to YUV, zscale is as exact as the scaler with EXACT_SCALER, and several times faster.
        TargetFormat::Jpeg => format!(",zscale=min={number}:rin=limited:m=smpte170m:r=full,format=yuvj420p"),
        TargetFormat::Webp => format!(",zscale=min={number}:rin=limited:m=smpte170m:r=limited,format=yuv420p"),
        TargetFormat::Png => format!(",scale={EXACT_SCALER}:in_color_matrix={matrix}:in_range=tv,format=rgb24"),
    }
}

/// Converts a rendered frame of this matrix to BGRA.
pub(crate) fn to_bgra(matrix: Space) -> String {
    let matrix = color::scale_matrix_name(matrix);
    format!("scale={EXACT_SCALER}:in_color_matrix={matrix}:in_range=tv,format=bgra")
}

/// Size after rotation by quarter turns: an odd number of them swaps width and height.
pub(crate) const fn rotated(size: Size, quarter_turns: u8) -> Size {
    if quarter_turns.is_multiple_of(2) {
        size
    } else {
        Size {
            width_px: size.height_px,
            height_px: size.width_px,
        }
    }
}

/// Coded size for which the plan chose the scaled size, after rotation.
fn planned_size(source: &SourceVideo, coded: Size) -> Size {
    let planned = if source.size == Size::default() {
        coded
    } else {
        source.size
    };
    rotated(planned, source.quarter_turns)
}

/// Size of an upright frame in units of the pixel aspect ratio that was planned.
#[derive(Clone, Copy)]
struct DisplaySize {
    width: f64,
    height: f64,
}

/// Display size of an upright frame. It differs from the coded size when the pixel aspect ratio of the frame is not the
/// planned one: broadcasts switch between 4:3 and 16:9 at the same coded size.
fn display_size(upright: Size, input: &FrameFormat, source: &SourceVideo) -> DisplaySize {
    let coded = frame::frame_size(input);
    let stretch = source.sample_aspect.map_or(1.0, |planned| {
        pixel_aspect::relative_aspect(input.sample_aspect, coded, planned)
    });
    let (width, height) = (f64::from(upright.width_px), f64::from(upright.height_px));
    // Pixels are stretched along the coded width, which is the height of a frame turned by 90 or 270 degrees.
    if source.quarter_turns.is_multiple_of(2) {
        DisplaySize {
            width: width * stretch,
            height,
        }
    } else {
        DisplaySize {
            width,
            height: height * stretch,
        }
    }
}

/// Size to which a frame is scaled. A frame whose aspect ratio is not the planned one, as after a phone was turned,
/// keeps its own within the planned size.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most the planned size"
)]
fn fit_scaled(display: DisplaySize, planned: Size, scaled: Size) -> Size {
    let in_scaled_px = |side: f64, planned: u32, scaled: u32| side * f64::from(scaled) / f64::from(planned.max(1));
    let width = in_scaled_px(display.width, planned.width_px, scaled.width_px);
    let height = in_scaled_px(display.height, planned.height_px, scaled.height_px);
    let ratio = (f64::from(scaled.width_px) / width).min(f64::from(scaled.height_px) / height);
    // Even, because of 4:2:0. A side within 2 % of the planned one gets no bars: 1088 lines for 1080 are the same
    // shape.
    let side = |natural: f64, planned: u32| {
        let own = ((natural * ratio / 2.0).round() as u32).max(1) * 2;
        if own + planned / 50 >= planned { planned } else { own }
    };
    Size {
        width_px: side(width, scaled.width_px),
        height_px: side(height, scaled.height_px),
    }
}

/// Adds black bars around a frame that is smaller than `canvas`.
fn pad(size: Size, canvas: Size) -> Option<String> {
    let (x, y) = centered_offset(size, canvas);
    let Size { width_px, height_px } = canvas;
    (size != canvas).then(|| format!("pad=w={width_px}:h={height_px}:x={x}:y={y}:color=black"))
}

/// Blends a frame that has an alpha channel onto black: its samples are multiplied by alpha.
fn flatten_alpha(input: &FrameFormat) -> Vec<String> {
    if !alpha::has_alpha(input.format) {
        return Vec::new();
    }
    let depths = ["", "9le", "10le", "12le", "16le"];
    // The formats that `premultiply` accepts. FFmpeg chooses the one of them that loses least.
    let (with_alpha, without_alpha, depths) = if is_rgb_format(input) {
        ("gbrap", "gbrp", [&depths[..1], &depths[2..]].concat())
    } else {
        ("yuva444p", "yuv444p", depths.to_vec())
    };
    let formats = |name: &str| {
        let all: Vec<_> = depths.iter().map(|depth| format!("{name}{depth}")).collect();
        format!("format={}", all.join("|"))
    };
    vec![
        formats(with_alpha),
        "premultiply=inplace=1".to_owned(),
        formats(without_alpha),
    ]
}

/// Applies the display matrix: mirror first, then quarter turns clockwise.
fn orient(source: &SourceVideo) -> Vec<String> {
    let mirror = source.mirrored.then_some("hflip");
    let turn = match source.quarter_turns % 4 {
        1 => Some("transpose=clock"),
        2 => Some("hflip,vflip"),
        3 => Some("transpose=cclock"),
        _ => None,
    };
    mirror.into_iter().chain(turn).map(str::to_owned).collect()
}

/// Scales to `scaled` and converts to 8 bits, 4:2:0, limited range and the matrix of the output.
fn scale_and_convert(input: &FrameFormat, size: Size, tone_map: bool, scaled: Size, output: Color) -> Vec<String> {
    let Size { width_px, height_px } = scaled;
    let scaler = format!("scale=w={width_px}:h={height_px}:{SCALER}");
    if tone_map || color::is_bt2020(&input.color) {
        // Scaled first, so that the conversion in floating point has fewer pixels. The scaler keeps the range: it is
        // converted once, by zscale.
        let mut filters = Vec::new();
        if size != scaled {
            let range = if is_full_range(input) { "pc" } else { "tv" };
            filters.push(format!("{scaler}:in_range={range}:out_range={range}"));
        }
        filters.push(if tone_map {
            tone_map_to_bt709(input)
        } else {
            bt2020_to_bt709(input)
        });
        return filters;
    }
    let (name, _) = frame::pixel_format(input.format).unwrap_or_default();
    let is_output_format = name == "yuv420p" && !is_full_range(input);
    if is_output_format && size == scaled {
        return Vec::new();
    }
    let matrix = color::scale_matrix_name(output.matrix);
    let from = if color::is_rgb(&input.color) {
        String::new()
    } else {
        format!(":in_color_matrix={matrix}")
    };
    vec![format!("{scaler}{from}:out_color_matrix={matrix}:out_range=tv")]
}

/// Tone-maps PQ or HLG to BT.709. The peak is fixed at 1000 nits, because mastering metadata in files is often wrong.
fn tone_map_to_bt709(input: &FrameFormat) -> String {
    // A frame without a transfer function is taken for PQ, since the plan asks for tone mapping.
    let transfer = if color::is_hdr(input.color.transfer) {
        input.color.transfer
    } else {
        16
    };
    let (tags, primaries) = (zscale_input(input, transfer), primaries_or_bt2020(input));
    // npl=100: 1.0 in linear light is 100 nits, so peak=10 is 1000 nits.
    format!(
        "zscale={tags}:p={primaries}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
         tonemap=tonemap=hable:desat=0:peak=10,zscale=t=bt709:m=bt709:r=limited,format=yuv420p"
    )
}

/// Converts BT.2020 of standard dynamic range to BT.709.
fn bt2020_to_bt709(input: &FrameFormat) -> String {
    let tags = zscale_input(input, 1);
    format!("zscale={tags}:p=bt709:t=bt709:m=bt709:r=limited,format=yuv420p")
}

/// Options that tell zscale the color of its input, as numbers of ITU-T H.273. Unspecified tags are those of BT.2020.
fn zscale_input(input: &FrameFormat, transfer: i32) -> String {
    let matrix = match input.color.matrix {
        _ if is_rgb_format(input) => 0,
        known @ (1 | 5 | 6 | 9) => known,
        _ => 9,
    };
    let range = if is_full_range(input) { "full" } else { "limited" };
    let primaries = primaries_or_bt2020(input);
    format!("tin={transfer}:pin={primaries}:min={matrix}:rin={range}")
}

/// Color primaries of the frame where zscale knows them, else those of BT.2020 (ITU-T H.273).
const fn primaries_or_bt2020(input: &FrameFormat) -> i32 {
    match input.color.primaries {
        known @ (1 | 5 | 6 | 9 | 11 | 12) => known,
        _ => 9,
    }
}

/// Returns `true` for full-range samples, by the tag of the frame or by its pixel format.
fn is_full_range(input: &FrameFormat) -> bool {
    let (name, _) = frame::pixel_format(input.format).unwrap_or_default();
    input.color.range == 2 || name.starts_with("yuvj") || is_rgb_format(input)
}

/// Returns `true` for a pixel format of red, green and blue. The matrix tag of the frame may contradict it.
fn is_rgb_format(input: &FrameFormat) -> bool {
    let (name, _) = frame::pixel_format(input.format).unwrap_or_default();
    ["rgb", "bgr", "gbr", "pal8"]
        .iter()
        .any(|components| name.contains(components))
}

/// Crops or pads the scaled frame to the canvas; its center stays in the center.
fn crop_or_pad_to_canvas(layout: &FrameLayout) -> Vec<String> {
    let FrameLayout { scaled, canvas, .. } = layout;
    let mut filters = Vec::new();
    let cropped = Size {
        width_px: scaled.width_px.min(canvas.width_px),
        height_px: scaled.height_px.min(canvas.height_px),
    };
    if cropped != *scaled {
        filters.push(format!("crop=w={}:h={}", cropped.width_px, cropped.height_px));
    }
    filters.extend(pad(cropped, *canvas));
    filters
}

/// Left and top of an image centered on a canvas, in pixels. Both are even, because of 4:2:0.
pub(crate) const fn centered_offset(inner: Size, canvas: Size) -> (u32, u32) {
    let x = canvas.width_px.saturating_sub(inner.width_px) / 4 * 2;
    let y = canvas.height_px.saturating_sub(inner.height_px) / 4 * 2;
    (x, y)
}

/// The overlay filter of the watermark, enabled during its span.
fn overlay_filter(placement: &Watermark, size: Size, canvas: Size) -> String {
    let margin = placement.margin_px;
    let far_x = canvas.width_px.saturating_sub(size.width_px.saturating_add(margin));
    let far_y = canvas.height_px.saturating_sub(size.height_px.saturating_add(margin));
    let (x, y) = match placement.position {
        Position::TopLeft => (margin, margin),
        Position::TopRight => (far_x, margin),
        Position::BottomLeft => (margin, far_y),
        Position::BottomRight => (far_x, far_y),
        Position::Center => (
            canvas.width_px.saturating_sub(size.width_px) / 2,
            canvas.height_px.saturating_sub(size.height_px) / 2,
        ),
    };
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let from = format!("gte(t,{})", seconds(placement.span.start.us()));
    let enabled = match placement.span.end {
        Some(end) => format!("{from}*lt(t,{})", seconds(end.us())),
        None => from,
    };
    format!("overlay=x={x}:y={y}:eof_action=repeat:format=yuv420:enable='{enabled}'")
}
