//! Reuse of outputs: two tasks of an account with the same fingerprint have the same outputs.

use super::inputs::Inputs;
use domain::Recipe;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Version of rendering. Raise it with each change after which the same inputs may have other outputs; otherwise tasks
/// reuse outputs from before the change.
const RENDER_VERSION: u32 = 3;

/// Everything that determines the outputs of a task.
#[derive(Serialize)]
struct FingerprintInput<'a> {
    version: u32,
    recipe: &'a Recipe,
    /// SHA-256 of the source and of the clips.
    sources: Vec<&'a str>,
    /// Name and SHA-256 of each image.
    images: Vec<(&'a str, &'a str)>,
}

/// SHA-256 over version, recipe and the hashes of all inputs, in hexadecimal.
pub(crate) fn fingerprint(recipe: &Recipe, inputs: &Inputs) -> String {
    let input = FingerprintInput {
        version: RENDER_VERSION,
        recipe,
        sources: inputs.sources.iter().map(|source| source.sha256.as_str()).collect(),
        images: inputs
            .images
            .iter()
            .map(|image| (image.name.as_str(), image.sha256.as_str()))
            .collect(),
    };
    // Structs with text keys always serialize to JSON.
    let json = serde_json::to_vec(&input).unwrap_or_default();
    hex::encode(Sha256::digest(json))
}
