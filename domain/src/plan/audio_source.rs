//! Selection of the audio stream.

use super::language_tag::is_same;
use super::{Warning, WarningCode};
use crate::code::Code;
use crate::failure::Failure;
use crate::probe::{AudioFacts, Probe, Stream};
use crate::recipe::{AudioMode, Output, Recipe};

/// An audio stream of a file.
#[derive(Clone, Copy)]
pub(super) struct AudioStream<'a> {
    pub(super) stream: &'a Stream,
    pub(super) facts: &'a AudioFacts,
}

/// Selects the audio stream of the source; `None` if no output uses audio or the source has none that can be used.
///
/// # Errors
/// Only if an output is an audio file: [`Code::NoAudioStream`] if there is no audio, and [`Code::CodecUnsupported`] if
/// it cannot be decoded. In any case [`Code::NoAudioStream`] if the recipe names a stream that does not exist.
pub(super) fn select<'a>(
    recipe: &Recipe,
    probe: &'a Probe,
    warnings: &mut Vec<Warning>,
) -> Result<Option<AudioStream<'a>>, Failure> {
    let is_required = recipe.outputs.iter().any(|output| matches!(output, Output::Audio(_)));
    let is_used = recipe.outputs.iter().any(Output::uses_audio);
    if !is_used || recipe.audio.mode == AudioMode::Drop {
        return Ok(None);
    }
    match requested(recipe, probe, warnings)? {
        Some(audio) if audio.stream.decodable => Ok(Some(audio)),
        Some(audio) if is_required => Err(Failure::new(
            Code::CodecUnsupported,
            format!("audio codec {}", audio.stream.codec),
        )),
        None if is_required => Err(Failure::new(
            Code::NoAudioStream,
            "an output needs audio, and the source has none",
        )),
        Some(audio) => {
            warnings.push(Warning::new(WarningCode::AudioUndecodable, audio.stream.codec.clone()));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Returns the stream that the recipe names by number or language, else the main stream, else the first one even if it
/// cannot be decoded.
fn requested<'a>(
    recipe: &Recipe,
    probe: &'a Probe,
    warnings: &mut Vec<Warning>,
) -> Result<Option<AudioStream<'a>>, Failure> {
    let mut streams = probe
        .audio_streams()
        .map(|(stream, facts)| AudioStream { stream, facts });
    if let Some(number) = recipe.audio.stream {
        let found = streams.nth(usize::try_from(number).unwrap_or(usize::MAX));
        return found.map(Some).ok_or_else(|| {
            let detail = format!(
                "audio.stream {number}; the source has {}",
                probe.audio_streams().count()
            );
            Failure::new(Code::NoAudioStream, detail)
        });
    }
    if let Some(language) = &recipe.audio.language {
        let has_language = |audio: &AudioStream<'_>| {
            let tag = audio.stream.language.as_deref();
            tag.is_some_and(|tag| is_same(tag, language.as_str()))
        };
        if let Some(found) = streams.find(has_language) {
            return Ok(Some(found));
        }
        warnings.push(Warning::new(WarningCode::LanguageMissing, language.as_str()));
    }
    let default = probe.main_audio().or_else(|| probe.audio_streams().next());
    Ok(default.map(|(stream, facts)| AudioStream { stream, facts }))
}
