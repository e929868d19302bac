//! Paths of outputs: a plan names files, never directories.

use domain::{Code, Failure, FailureKind};
use std::path::{Component, Path, PathBuf};

/// The path of an output: a single plain name below the scratch directory.
///
/// # Errors
/// When the name is anything else, which a plan never has.
pub(crate) fn output_path(scratch: &Path, file: &str) -> Result<PathBuf, Failure> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if !file.contains(['\0', '/']) => Ok(scratch.join(name)),
        _ => Err(Failure::new(
            FailureKind::MediaCrash,
            Code::Internal,
            "an output's name is no plain name",
        )),
    }
}
