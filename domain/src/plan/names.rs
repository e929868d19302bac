//! What the files of a task are called.

use crate::recipe::{AudioFormat, Output, PosterFormat};
use std::collections::HashSet;

/// One name for each output, no two the same: what its user called it, or else the word for its kind. Where that word is
/// taken the output carries its place, or the next number that is free.
pub(super) fn files(outputs: &[Output]) -> Vec<String> {
    let given = |output: &Output| output.name().map(|name| format!("{name}{}", word(output).1));
    let mut taken: HashSet<_> = outputs.iter().filter_map(given).collect();
    let named = outputs.iter().enumerate().map(|(place, output)| {
        given(output).unwrap_or_else(|| {
            let file = free(word(output), place + 1, &taken);
            taken.insert(file.clone());
            file
        })
    });
    named.collect()
}

fn free((word, ending): (&str, &str), place: usize, taken: &HashSet<String>) -> String {
    let plain = format!("{word}{ending}");
    if !taken.contains(&plain) {
        return plain;
    }
    let mut numbered = (place..).map(|number| format!("{word}-{number}{ending}"));
    numbered.find(|file| !taken.contains(file)).unwrap_or(plain)
}

/// What an output without a name is called, and how its file ends; a set of files has no ending.
const fn word(output: &Output) -> (&'static str, &'static str) {
    match output {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outputs(kinds_and_names: &[(String, Option<String>)]) -> Vec<Output> {
        let mut seen = HashSet::new();
        let json = kinds_and_names.iter().map(|(kind, name)| {
            // The reader refuses a name that stands twice.
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
        let asked = kinds_and_names
            .iter()
            .map(|(word, name)| (kind(word), Some((*name).to_owned()).filter(|name| !name.is_empty())));
        files(&outputs(&asked.collect::<Vec<_>>()))
    }

    #[test]
    fn an_output_is_called_as_asked_or_by_its_kind() {
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
    fn a_name_that_is_given_is_left_to_the_one_who_gave_it() {
        assert_eq!(named(&[("mp4", ""), ("mp4", "video")]), ["video-1.mp4", "video.mp4"]);
        assert_eq!(
            named(&[("mp4", ""), ("mp4", ""), ("mp4", "video-2")]),
            ["video.mp4", "video-3.mp4", "video-2.mp4"]
        );
        assert_eq!(named(&[("hls", ""), ("sprite", "hls")]), ["hls-1", "hls"]);
    }

    proptest! {
        #[test]
        fn no_two_outputs_share_a_file(asked in proptest::collection::vec(
            (
                prop_oneof![
                    Just("mp4"), Just("webm"), Just("hls"), Just("gif"), Just("sprite"), Just("audio"), Just("poster"),
                    Just(r#"audio","format":"mp3"#), Just(r#"poster","format":"png"#),
                ],
                proptest::option::of("(video|hls|audio|animation|poster|sprite)(-[1-9])?"),
            ),
            1..=12,
        )) {
            let asked: Vec<_> = asked.into_iter().map(|(kind, name)| (format!(r#""kind":"{kind}""#), name)).collect();
            let files = files(&outputs(&asked));
            prop_assert_eq!(files.iter().collect::<HashSet<_>>().len(), asked.len(), "{:?}", files);
        }
    }
}
