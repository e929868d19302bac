//! Which sound stream is used.

use super::language_tag::is_same;
use super::{Warning, WarningCode};
use crate::code::Code;
use crate::failure::{Failure, FailureKind};
use crate::probe::{AudioFacts, Probe, Stream};
use crate::recipe::{AudioMode, Output, Recipe};

/// The sound stream, when any output can use one.
///
/// # Errors
/// [`Code::NoAudioStream`] when an output is made of sound and there is none, or the one asked for is not there;
/// [`Code::CodecUnsupported`] when an output is made of sound that cannot be decoded.
pub(super) fn source<'a>(
    recipe: &Recipe,
    probe: &'a Probe,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(&'a Stream, &'a AudioFacts)>, Failure> {
    let needed = recipe.outputs.iter().any(|output| matches!(output, Output::Audio(_)));
    let wanted = recipe.outputs.iter().any(Output::uses_audio);
    if !wanted || recipe.audio.mode == AudioMode::Drop {
        return Ok(None);
    }
    match asked_for(recipe, probe, warnings)? {
        Some((stream, facts)) if stream.decodable => Ok(Some((stream, facts))),
        Some((stream, _)) if needed => Err(Failure::new(
            FailureKind::Unsupported,
            Code::CodecUnsupported,
            format!("audio codec {}", stream.codec),
        )),
        None if needed => Err(Failure::input(
            Code::NoAudioStream,
            "an output needs sound, and the source has none",
        )),
        Some((stream, _)) => {
            warnings.push(Warning::new(WarningCode::AudioUndecodable, stream.codec.clone()));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// The stream that the recipe names, or the main one, or one that cannot be decoded.
fn asked_for<'a>(
    recipe: &Recipe,
    probe: &'a Probe,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(&'a Stream, &'a AudioFacts)>, Failure> {
    if let Some(place) = recipe.audio.stream {
        let found = probe.sounds().nth(usize::try_from(place).unwrap_or(usize::MAX));
        return found.map(Some).ok_or_else(|| {
            let detail = format!("audio.stream {place}; the source has {}", probe.sounds().count());
            Failure::input(Code::NoAudioStream, detail)
        });
    }
    if let Some(language) = &recipe.audio.language {
        let mut speaking = probe.sounds().filter(|(stream, _)| {
            stream
                .language
                .as_deref()
                .is_some_and(|own| is_same(own, language.as_str()))
        });
        if let Some(found) = speaking.next() {
            return Ok(Some(found));
        }
        warnings.push(Warning::new(WarningCode::LanguageMissing, language.as_str()));
    }
    Ok(probe.main_audio().or_else(|| probe.sounds().next()))
}
