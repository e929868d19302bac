//! The built-in presets. The README describes each one; the tests pin the properties of the output of `idrl`.

use crate::recipe::{
    Aspect, AudioEdit, AudioMode, AudioOutput, BumperEdit, Canvas, Fps, HlsOutput, Name, Opacity, Output, Position,
    PosterOutput, Recipe, SpriteOutput, Trim, VideoCodec, VideoEncoding, VideoOutput, WatermarkEdit,
};
use crate::time::{Rational, Timecode};

/// A recipe with a name that every installation has.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// A description for users, in English.
    pub summary: &'static str,
    /// The recipe.
    pub recipe: Recipe,
}

/// Returns the built-in presets, the default one first.
#[must_use]
pub fn built_in() -> Vec<Preset> {
    vec![
        Preset {
            name: "web",
            summary: "MP4 for every browser, at most 1080p, and a poster",
            recipe: web(),
        },
        Preset {
            name: "hls",
            summary: "Adaptive stream up to the size of the source, a poster, and thumbnails for the seek bar",
            recipe: hls(),
        },
        Preset {
            name: "idrl",
            summary: "Feed clip: 16 s between two logo bumpers of 2 s, 16:9, 24 fps",
            recipe: idrl(),
        },
        Preset {
            name: "showcase",
            summary: "At most 30 s at 1280x720 without audio, with bumpers and a watermark",
            recipe: showcase(),
        },
        Preset {
            name: "audio",
            summary: "Audio only, as M4A",
            recipe: recipe_of(vec![Output::Audio(AudioOutput::default())]),
        },
        Preset {
            name: "archive",
            summary: "H.265 at the size of the source for archiving: half the bytes; most browsers do not play it",
            recipe: recipe_of(vec![Output::Mp4(video_in(VideoCodec::H265))]),
        },
        Preset {
            name: "open",
            summary: "AV1 and Opus in WebM, royalty-free codecs",
            recipe: recipe_of(vec![Output::Webm(video_in(VideoCodec::Av1))]),
        },
    ]
}

/// Returns the built-in preset with a name.
#[must_use]
pub fn find(name: &str) -> Option<Preset> {
    built_in().into_iter().find(|preset| preset.name == name)
}

fn recipe_of(outputs: Vec<Output>) -> Recipe {
    Recipe {
        outputs,
        ..Recipe::default()
    }
}

fn video_in(codec: VideoCodec) -> VideoOutput {
    VideoOutput {
        video: VideoEncoding {
            codec: Some(codec),
            ..VideoEncoding::default()
        },
        ..VideoOutput::default()
    }
}

fn hls() -> Recipe {
    recipe_of(vec![
        Output::Hls(HlsOutput::default()),
        Output::Poster(PosterOutput::default()),
        Output::Sprite(SpriteOutput::default()),
    ])
}

fn web() -> Recipe {
    Recipe {
        frame: Some(Canvas {
            max_short_side_px: Some(1_080),
            ..Canvas::default()
        }),
        outputs: vec![
            Output::Mp4(VideoOutput::default()),
            Output::Poster(PosterOutput::default()),
        ],
        ..Recipe::default()
    }
}

fn widescreen(max_width_px: u32) -> Canvas {
    Canvas {
        aspect: Some(Aspect { width: 16, height: 9 }),
        max_width_px: Some(max_width_px),
        fps: Fps::Fixed(Rational { num: 24, den: 1 }),
        ..Canvas::default()
    }
}

fn idrl() -> Recipe {
    Recipe {
        trim: Some(Trim {
            end: Some(Timecode::from_ms(16_000)),
            ..Trim::default()
        }),
        frame: Some(widescreen(1_920)),
        bumper: Some(BumperEdit {
            intro_ms: 2_000,
            outro_ms: 2_000,
            ..BumperEdit::default()
        }),
        outputs: vec![Output::Mp4(VideoOutput::default())],
        ..Recipe::default()
    }
}

fn showcase() -> Recipe {
    Recipe {
        trim: Some(Trim {
            end: Some(Timecode::from_ms(25_000)),
            ..Trim::default()
        }),
        frame: Some(Canvas {
            max_height_px: Some(720),
            upscale: true,
            ..widescreen(1_280)
        }),
        bumper: Some(BumperEdit {
            intro_ms: 2_500,
            outro_ms: 2_500,
            ..BumperEdit::default()
        }),
        watermark: Some(WatermarkEdit {
            image: Name::logo(),
            position: Position::TopRight,
            margin_px: 20,
            width_percent: 12,
            opacity: Opacity { percent: 80 },
            start_ms: None,
            end_ms: None,
        }),
        audio: AudioEdit {
            mode: AudioMode::Drop,
            ..AudioEdit::default()
        },
        destination: None,
        outputs: vec![Output::Mp4(VideoOutput::default())],
    }
}
