//! A file of a watched folder.

use std::ffi::OsString;

/// The folders to which files are moved.
pub const DONE: &str = "done";
/// See [`DONE`].
pub const FAILED: &str = "failed";

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderFile {
    /// The name as text. Names that are not UTF-8 are written in hexadecimal.
    pub key: String,
    /// The name for people; without the bytes that are not UTF-8.
    pub name: String,
    /// The version of the content.
    pub etag: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last change in milliseconds since 1970.
    pub modified_ms: i64,
    /// The name as the file system has it; empty in a bucket.
    pub(super) path: OsString,
}

/// Matches names of hidden files, and of files that a program still writes.
pub(super) fn is_temporary(name: &str) -> bool {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let partial = ["part", "partial", "tmp", "temp", "crdownload", "filepart", "download"];
    name.starts_with('.') || extension.is_some_and(|extension| partial.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_unfinished_files_are_left_alone() {
        for name in [".x", ".clip.mp4.Gh3k", "clip.mp4.part", "clip.TMP", "a.crdownload"] {
            assert!(is_temporary(name), "{name}");
        }
        for name in ["clip.mp4", "part", "a.part.mp4", "clip"] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
