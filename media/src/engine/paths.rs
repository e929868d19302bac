//! Output paths. A plan contains plain file names; absolute paths, subdirectories and `..` are rejected, so that a
//! child writes only inside its scratch directory.

use domain::{Code, Failure};
use std::path::{Component, Path, PathBuf};

/// Joins the scratch directory and the file name of an output.
///
/// # Errors
/// [`Code::MediaCrash`] if `file` is not a plain file name. Plans never contain such a name.
pub(crate) fn output_path(scratch: &Path, file: &str) -> Result<PathBuf, Failure> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if !file.contains(['\0', '/']) => Ok(scratch.join(name)),
        _ => Err(Failure::new(
            Code::MediaCrash,
            "the name of an output is not a plain file name",
        )),
    }
}
