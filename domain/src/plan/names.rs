//! What the files of a task are called.

use crate::recipe::{AudioFormat, Output, PosterFormat};

/// The name its user gave it, or the word for its kind; two unnamed outputs of one kind: the later one carries its place.
pub(super) fn file(outputs: &[Output], place: usize, output: &Output) -> String {
    let (word, ending) = match output {
        Output::Mp4(_) => ("video", ".mp4"),
        Output::Webm(_) => ("video", ".webm"),
        Output::Hls(_) => ("hls", ""),
        Output::Audio(audio) => match audio.format {
            AudioFormat::M4a => ("audio", ".m4a"),
            AudioFormat::Mp3 => ("audio", ".mp3"),
            AudioFormat::Opus => ("audio", ".opus"),
        },
        Output::Gif(_) => ("animation", ".gif"),
        Output::Poster(poster) => match poster.format {
            PosterFormat::Jpeg => ("poster", ".jpg"),
            PosterFormat::Png => ("poster", ".png"),
            PosterFormat::Webp => ("poster", ".webp"),
        },
        Output::Sprite(_) => ("sprite", ""),
    };
    let taken = outputs
        .iter()
        .take(place)
        .any(|earlier| earlier.name().is_none() && std::mem::discriminant(earlier) == std::mem::discriminant(output));
    let stem = match output.name() {
        Some(name) => name.to_string(),
        None if taken => format!("{word}-{}", place + 1),
        None => word.to_owned(),
    };
    format!("{stem}{ending}")
}
