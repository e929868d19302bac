//! Work that was done before is not done again: what makes two tasks of an account the same work.

use crate::footage::Footage;
use domain::Recipe;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Everything that the outputs follow from.
#[derive(Serialize)]
struct Work<'a> {
    /// Other versions may make other files.
    version: &'static str,
    recipe: &'a Recipe,
    /// Hashes of the source and of the clips beside it.
    sources: Vec<&'a str>,
    /// Names and hashes of the images.
    images: Vec<(&'a str, &'a str)>,
}

/// The same for the same bytes, the same wishes and the same version, and for nothing else.
pub(crate) fn fingerprint(recipe: &Recipe, footage: &Footage) -> String {
    let work = Work {
        version: env!("CARGO_PKG_VERSION"),
        recipe,
        sources: footage.sources.iter().map(|source| source.sha256.as_str()).collect(),
        images: footage
            .images
            .iter()
            .map(|image| (image.name.as_str(), image.sha256.as_str()))
            .collect(),
    };
    // Plain structs with text keys always have a JSON form.
    let text = serde_json::to_vec(&work).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}
