//! Filter descriptions that convert a decoded frame to the color, size and pixel format of an output.

use crate::engine::ffi::alpha;
use crate::engine::ffi::frame::{self, Shape};
use crate::engine::probe::pixel_aspect;
use crate::engine::video::color::{self, Color};
use domain::plan::{Overlay, Picture, SourceVideo};
use domain::probe::Size;
use domain::recipe::Position;
use ffmpeg_next::color::Space;

/// What the picture is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetFormat {
    /// 4:2:0, 8 bits, limited range.
    Movie,
    /// The same, in the matrix of the movie that the clip stands before or after.
    Clip(Space),
    /// JPEG: full range, the matrix of BT.601 (JFIF).
    Jpeg,
    /// PNG: red, green and blue.
    Png,
    /// WebP: limited range, the matrix of BT.601 (RFC 9649).
    Webp,
}

/// The name under which the graph gets the image of the overlay.
pub(crate) const WATERMARK: &str = "mark";

/// The scaler's algorithm, the same as that of the `ffmpeg` command line.
const SCALER: &str = "flags=bicubic";

/// As [`SCALER`], for pictures that become red, green and blue: what it rounds by itself is seen beside the video.
const EXACT: &str = "flags=bicubic+accurate_rnd+full_chroma_int";

/// Writes the whole description; `mark` is the size of the overlay's image when there is one.
pub(crate) fn description(
    shape: &Shape,
    source: &SourceVideo,
    layout: &Picture,
    finish: TargetFormat,
    watermark: Option<Size>,
) -> String {
    let coded = frame::frame_size(shape);
    let output = color::of_output(&shape.color, coded);
    let mut steps = flattened(shape);
    steps.extend(upright(source));
    let turned = if source.quarter_turns.is_multiple_of(2) {
        coded
    } else {
        Size {
            width_px: coded.height_px,
            height_px: coded.width_px,
        }
    };
    let shown = shown(turned, shape, source);
    let fitted = fitted(shown, planned(source, coded), layout.scaled);
    steps.extend(standard(shape, turned, source.tone_map, fitted, output));
    steps.extend(padded(fitted, layout.scaled));
    steps.extend(onto_canvas(layout));
    steps.push("setsar=1".to_owned());
    steps.push("format=yuv420p".to_owned());
    let mut all = format!("[in]{}", steps.join(","));
    if let (Some(overlay), Some(size)) = (&layout.overlay, watermark) {
        all.push_str(&format!(
            "[canvas];[canvas][{WATERMARK}]{}",
            watermark_overlay(overlay, size, layout.canvas)
        ));
    }
    let (matrix, number) = (color::scale_name(output.matrix), color::number(output.matrix));
    match finish {
        TargetFormat::Movie => {}
        TargetFormat::Clip(to) if to == output.matrix => {}
        TargetFormat::Clip(to) => all.push_str(&format!(
            ",scale={SCALER}:in_color_matrix={matrix}:in_range=tv:out_color_matrix={}:out_range=tv,format=yuv420p",
            color::scale_name(to)
        )),
        // As exact as [`EXACT`], and several times faster.
        TargetFormat::Jpeg => all.push_str(&format!(
            ",zscale=min={number}:rin=limited:m=smpte170m:r=full,format=yuvj420p"
        )),
        TargetFormat::Webp => all.push_str(&format!(
            ",zscale=min={number}:rin=limited:m=smpte170m:r=limited,format=yuv420p"
        )),
        TargetFormat::Png => all.push_str(&format!(
            ",scale={EXACT}:in_color_matrix={matrix}:in_range=tv,format=rgb24"
        )),
    }
    all.push_str("[out]");
    all
}

/// The size for which the scaling was planned, upright.
fn planned(source: &SourceVideo, coded: Size) -> Size {
    let Size { width_px, height_px } = if source.size == Size::default() {
        coded
    } else {
        source.size
    };
    if source.quarter_turns.is_multiple_of(2) {
        Size { width_px, height_px }
    } else {
        Size {
            width_px: height_px,
            height_px: width_px,
        }
    }
}

/// The width and the height of an upright picture, in pixels of the shape that was planned: broadcasts go from 4:3 to 16:9
/// without a change of the coded size.
fn shown(turned: Size, shape: &Shape, source: &SourceVideo) -> (f64, f64) {
    let coded = frame::frame_size(shape);
    let wider = source.sample_aspect.map_or(1.0, |planned| {
        pixel_aspect::widening(shape.sample_aspect, coded, planned)
    });
    let (width, height) = (f64::from(turned.width_px), f64::from(turned.height_px));
    if source.quarter_turns.is_multiple_of(2) {
        (width * wider, height)
    } else {
        (width, height * wider)
    }
}

/// The size to which a picture is scaled. One of another shape than was planned, as after a turn of the phone, keeps its
/// shape inside of the planned size.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most the planned size"
)]
fn fitted((width, height): (f64, f64), planned: Size, scaled: Size) -> Size {
    let along = |side: f64, planned: u32, scaled: u32| side * f64::from(scaled) / f64::from(planned.max(1));
    let width = along(width, planned.width_px, scaled.width_px);
    let height = along(height, planned.height_px, scaled.height_px);
    let ratio = (f64::from(scaled.width_px) / width).min(f64::from(scaled.height_px) / height);
    // A few lines more or fewer are no other shape.
    let side = |natural: f64, whole: u32| {
        let own = ((natural * ratio / 2.0).round() as u32).max(1) * 2;
        if own + whole / 50 >= whole { whole } else { own }
    };
    Size {
        width_px: side(width, scaled.width_px),
        height_px: side(height, scaled.height_px),
    }
}

/// Bars around a picture that does not fill its place.
fn padded(size: Size, place: Size) -> Option<String> {
    let (x, y) = middle(size, place);
    let Size { width_px, height_px } = place;
    (size != place).then(|| format!("pad=w={width_px}:h={height_px}:x={x}:y={y}:color=black"))
}

/// What brings a drawn picture of this matrix to red, green and blue.
pub(crate) fn rgb(matrix: Space) -> String {
    let matrix = color::scale_name(matrix);
    format!("scale={EXACT}:in_color_matrix={matrix}:in_range=tv,format=bgra")
}

/// Lays a picture with an alpha channel onto black: its samples are multiplied by it, before anything mixes neighbors.
fn flattened(shape: &Shape) -> Vec<String> {
    if !alpha::has_alpha(shape.format) {
        return Vec::new();
    }
    let depths = ["", "9le", "10le", "12le", "16le"];
    // What the filter knows; of these FFmpeg takes the one that loses least.
    let (with, without, depths) = if has_rgb_samples(shape) {
        ("gbrap", "gbrp", [&depths[..1], &depths[2..]].concat())
    } else {
        ("yuva444p", "yuv444p", depths.to_vec())
    };
    let formats = |name: &str| {
        let all: Vec<_> = depths.iter().map(|depth| format!("{name}{depth}")).collect();
        format!("format={}", all.join("|"))
    };
    vec![formats(with), "premultiply=inplace=1".to_owned(), formats(without)]
}

/// Mirror first, then quarter turns clockwise.
fn upright(source: &SourceVideo) -> Vec<String> {
    let mirror = source.mirrored.then_some("hflip");
    let turn = match source.quarter_turns % 4 {
        1 => Some("transpose=clock"),
        2 => Some("hflip,vflip"),
        3 => Some("transpose=cclock"),
        _ => None,
    };
    mirror.into_iter().chain(turn).map(str::to_owned).collect()
}

/// Scales, and brings samples to 8 bits, 4:2:0, limited range and the color of the output.
fn standard(shape: &Shape, size: Size, tone_map: bool, scaled: Size, output: Color) -> Vec<String> {
    let Size { width_px, height_px } = scaled;
    let sized = format!("scale=w={width_px}:h={height_px}:{SCALER}");
    if tone_map || color::is_wide(&shape.color) {
        // Scaled first: the work in floating point is then done on fewer pixels. The range stays: it is changed once, below.
        let mut steps = Vec::new();
        if size != scaled {
            let range = if is_full(shape) { "pc" } else { "tv" };
            steps.push(format!("{sized}:in_range={range}:out_range={range}"));
        }
        steps.push(if tone_map { tone_mapped(shape) } else { narrowed(shape) });
        return steps;
    }
    let (name, _) = frame::pixel_format(shape.format).unwrap_or_default();
    let plain = name == "yuv420p" && !is_full(shape);
    if plain && size == scaled {
        return Vec::new();
    }
    let matrix = color::scale_name(output.matrix);
    let from = if color::is_rgb(&shape.color) {
        String::new()
    } else {
        format!(":in_color_matrix={matrix}")
    };
    vec![format!("{sized}{from}:out_color_matrix={matrix}:out_range=tv")]
}

/// PQ or HLG to BT.709. The peak is given, because mastering data in files is often broken.
fn tone_mapped(shape: &Shape) -> String {
    let transfer = if color::is_hdr(shape.color.transfer) {
        shape.color.transfer
    } else {
        16
    };
    let (input, primaries) = (wide_input(shape, transfer), primaries(shape));
    format!(
        "zscale={input}:p={primaries}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
         tonemap=tonemap=hable:desat=0:peak=10,zscale=t=bt709:m=bt709:r=limited,format=yuv420p"
    )
}

/// BT.2020 of standard range to BT.709.
fn narrowed(shape: &Shape) -> String {
    let input = wide_input(shape, 1);
    format!("zscale={input}:p=bt709:t=bt709:m=bt709:r=limited,format=yuv420p")
}

/// What zscale is told about its input: numbers of ITU-T H.273, those of BT.2020 where the picture does not say.
fn wide_input(shape: &Shape, transfer: i32) -> String {
    let matrix = match shape.color.matrix {
        _ if has_rgb_samples(shape) => 0,
        known @ (1 | 5 | 6 | 9) => known,
        _ => 9,
    };
    let range = if is_full(shape) { "full" } else { "limited" };
    format!("tin={transfer}:pin={}:min={matrix}:rin={range}", primaries(shape))
}

/// The primaries of a wide picture: those of BT.2020 where it does not say.
const fn primaries(shape: &Shape) -> i32 {
    match shape.color.primaries {
        known @ (1 | 5 | 6 | 9 | 11 | 12) => known,
        _ => 9,
    }
}

/// Whether samples use the full range, as the picture says or as its format means.
fn is_full(shape: &Shape) -> bool {
    let (name, _) = frame::pixel_format(shape.format).unwrap_or_default();
    shape.color.range == 2 || name.starts_with("yuvj") || has_rgb_samples(shape)
}

/// Whether samples are red, green and blue by their format, whatever the picture says.
fn has_rgb_samples(shape: &Shape) -> bool {
    let (name, _) = frame::pixel_format(shape.format).unwrap_or_default();
    ["rgb", "bgr", "gbr", "pal8"].iter().any(|order| name.contains(order))
}

/// Cuts or pads around the middle.
fn onto_canvas(layout: &Picture) -> Vec<String> {
    let Picture { scaled, canvas, .. } = layout;
    let mut steps = Vec::new();
    let kept = Size {
        width_px: scaled.width_px.min(canvas.width_px),
        height_px: scaled.height_px.min(canvas.height_px),
    };
    if kept != *scaled {
        steps.push(format!("crop=w={}:h={}", kept.width_px, kept.height_px));
    }
    steps.extend(padded(kept, *canvas));
    steps
}

/// Where a picture stands so that its middle is that of the canvas, on even pixels because of 4:2:0.
pub(crate) const fn middle(inner: Size, canvas: Size) -> (u32, u32) {
    let x = canvas.width_px.saturating_sub(inner.width_px) / 4 * 2;
    let y = canvas.height_px.saturating_sub(inner.height_px) / 4 * 2;
    (x, y)
}

fn watermark_overlay(overlay: &Overlay, size: Size, canvas: Size) -> String {
    let margin = overlay.margin_px;
    let far_x = canvas.width_px.saturating_sub(size.width_px.saturating_add(margin));
    let far_y = canvas.height_px.saturating_sub(size.height_px.saturating_add(margin));
    let (x, y) = match overlay.position {
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
    let from = format!("gte(t,{})", seconds(overlay.span.start.us()));
    let seen = match overlay.span.end {
        Some(end) => format!("{from}*lt(t,{})", seconds(end.us())),
        None => from,
    };
    format!("overlay=x={x}:y={y}:eof_action=repeat:format=yuv420:enable='{seen}'")
}
