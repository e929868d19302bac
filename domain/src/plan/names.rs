//! The file names of the outputs of a task.

use crate::recipe::{AudioFormat, Output, PosterFormat};
use std::collections::HashSet;

/// The default file name of a kind of output; a set of files has no extension.
struct DefaultName {
    stem: &'static str,
    extension: &'static str,
}

/// Returns unique file names: the given name of an output, or else the default name of its kind. If the default name is
/// taken, it gets the position of the output in the recipe, or the next free number, as a suffix.
pub(super) fn files(outputs: &[Output]) -> Vec<String> {
    let given = |output: &Output| {
        output
            .name()
            .map(|name| format!("{name}{}", default_name(output).extension))
    };
    let mut taken: HashSet<_> = outputs.iter().filter_map(given).collect();
    let named = outputs.iter().enumerate().map(|(index, output)| {
        given(output).unwrap_or_else(|| {
            let file = free_name(&default_name(output), index + 1, &taken);
            taken.insert(file.clone());
            file
        })
    });
    named.collect()
}

fn free_name(default: &DefaultName, position: usize, taken: &HashSet<String>) -> String {
    let DefaultName { stem, extension } = default;
    let plain = format!("{stem}{extension}");
    if !taken.contains(&plain) {
        return plain;
    }
    let mut numbered = (position..).map(|number| format!("{stem}-{number}{extension}"));
    numbered.find(|file| !taken.contains(file)).unwrap_or(plain)
}

const fn default_name(output: &Output) -> DefaultName {
    let (stem, extension) = match output {
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
    DefaultName { stem, extension }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outputs(kinds_and_names: &[(String, Option<String>)]) -> Vec<Output> {
        let mut seen = HashSet::new();
        let json = kinds_and_names.iter().map(|(kind, name)| {
            // A recipe with duplicate names is rejected before it is planned.
            match name.as_ref().filter(|name| seen.insert((*name).clone())) {
                Some(name) => format!(r#"{{{kind},"name":"{name}"}}"#),
                None => format!("{{{kind}}}"),
            }
        });
        json.map(|json| serde_json::from_str(&json).unwrap()).collect()
    }

    fn named(kinds_and_names: &[(&str, &str)]) -> Vec<String> {
        let kind = |kind: &str| match kind.split_once(' ') {
            Some((kind, format)) => format!(r#""kind":"{kind}","format":"{format}""#),
            None => format!(r#""kind":"{kind}""#),
        };
        let requested = kinds_and_names.iter().map(|(format, name)| {
            let name = Some((*name).to_owned()).filter(|name| !name.is_empty());
            (kind(format), name)
        });
        files(&outputs(&requested.collect::<Vec<_>>()))
    }

    #[test]
    fn an_output_has_its_given_name_or_the_default_name_of_its_kind() {
        assert_eq!(
            named(&[
                ("mp4", ""),
                ("webm", ""),
                ("poster png", ""),
                ("hls", "tv"),
                ("mp4", "small")
            ]),
            ["video.mp4", "video.webm", "poster.png", "tv", "small.mp4"]
        );
        assert_eq!(named(&[("mp4", ""), ("poster", ""), ("mp4", "")])[2], "video-3.mp4");
    }

    #[test]
    fn a_default_name_does_not_take_a_given_name() {
        assert_eq!(named(&[("mp4", ""), ("mp4", "video")]), ["video-1.mp4", "video.mp4"]);
        assert_eq!(
            named(&[("mp4", ""), ("mp4", ""), ("mp4", "video-2")]),
            ["video.mp4", "video-3.mp4", "video-2.mp4"]
        );
        assert_eq!(named(&[("hls", ""), ("sprite", "hls")]), ["hls-1", "hls"]);
    }

    proptest! {
        #[test]
        fn file_names_are_unique(requested in proptest::collection::vec(
            (
                prop_oneof![
                    Just("mp4"), Just("webm"), Just("hls"), Just("gif"), Just("sprite"), Just("audio"), Just("poster"),
                    Just(r#"audio","format":"mp3"#), Just(r#"poster","format":"png"#),
                ],
                proptest::option::of("(video|hls|audio|animation|poster|sprite)(-[1-9])?"),
            ),
            1..=12,
        )) {
            let requested = requested.into_iter().map(|(kind, name)| (format!(r#""kind":"{kind}""#), name));
            let requested: Vec<_> = requested.collect();
            let files = files(&outputs(&requested));
            prop_assert_eq!(files.iter().collect::<HashSet<_>>().len(), requested.len(), "{:?}", files);
        }
    }
}
