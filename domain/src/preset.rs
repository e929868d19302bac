//! Recipes with a name. What each promises is in the README; the golden facts of `idrl` are in the tests.

use crate::recipe::{
    Aspect, AudioEdit, AudioFile, AudioMode, Bumper, Fps, Frame, Hls, Movie, Name, Opacity, Output, Position, Poster,
    Recipe, Sprite, Trim, VideoCodec, VideoWish, Watermark,
};
use crate::time::{Rational, Timecode};

/// A named recipe that every installation has.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// One sentence for people, in English.
    pub summary: &'static str,
    /// The recipe.
    pub recipe: Recipe,
}

/// The built-in presets, the default first.
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
            summary: "Adaptive stream up to the size of the source, a poster, and stills for the seek bar",
            recipe: hls(),
        },
        Preset {
            name: "idrl",
            summary: "Feed clip: 16 s between two logo bumpers of 2 s, 16:9, 24 fps",
            recipe: idrl(),
        },
        Preset {
            name: "showcase",
            summary: "At most 30 s at 1280x720, silent, with bumpers and a watermark",
            recipe: showcase(),
        },
        Preset {
            name: "audio",
            summary: "The sound alone, as M4A",
            recipe: made_of(vec![Output::Audio(AudioFile::default())]),
        },
        Preset {
            name: "archive",
            summary: "H.265 at the size of the source: half the bytes, for keeping; most browsers do not play it",
            recipe: made_of(vec![Output::Mp4(in_codec(VideoCodec::H265))]),
        },
        Preset {
            name: "open",
            summary: "AV1 and Opus in WebM, free of patents to pay for",
            recipe: made_of(vec![Output::Webm(in_codec(VideoCodec::Av1))]),
        },
    ]
}

/// The built-in preset of this name.
#[must_use]
pub fn find(name: &str) -> Option<Preset> {
    built_in().into_iter().find(|preset| preset.name == name)
}

fn made_of(outputs: Vec<Output>) -> Recipe {
    Recipe {
        outputs,
        ..Recipe::default()
    }
}

fn in_codec(codec: VideoCodec) -> Movie {
    Movie {
        video: VideoWish {
            codec: Some(codec),
            ..VideoWish::default()
        },
        ..Movie::default()
    }
}

fn hls() -> Recipe {
    made_of(vec![
        Output::Hls(Hls::default()),
        Output::Poster(Poster::default()),
        Output::Sprite(Sprite::default()),
    ])
}

fn web() -> Recipe {
    Recipe {
        frame: Some(Frame {
            max_short_side_px: Some(1_080),
            ..Frame::default()
        }),
        outputs: vec![Output::Mp4(Movie::default()), Output::Poster(Poster::default())],
        ..Recipe::default()
    }
}

fn widescreen(max_width_px: u32) -> Frame {
    Frame {
        aspect: Some(Aspect { width: 16, height: 9 }),
        max_width_px: Some(max_width_px),
        fps: Fps::Fixed(Rational { num: 24, den: 1 }),
        ..Frame::default()
    }
}

fn idrl() -> Recipe {
    Recipe {
        trim: Some(Trim {
            end: Some(Timecode::from_ms(16_000)),
            ..Trim::default()
        }),
        frame: Some(widescreen(1_920)),
        bumper: Some(Bumper {
            intro_ms: 2_000,
            outro_ms: 2_000,
            ..Bumper::default()
        }),
        outputs: vec![Output::Mp4(Movie::default())],
        ..Recipe::default()
    }
}

fn showcase() -> Recipe {
    Recipe {
        trim: Some(Trim {
            end: Some(Timecode::from_ms(25_000)),
            ..Trim::default()
        }),
        frame: Some(Frame {
            max_height_px: Some(720),
            upscale: true,
            ..widescreen(1_280)
        }),
        bumper: Some(Bumper {
            intro_ms: 2_500,
            outro_ms: 2_500,
            ..Bumper::default()
        }),
        watermark: Some(Watermark {
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
        outputs: vec![Output::Mp4(Movie::default())],
    }
}
