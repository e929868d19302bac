//! The repository on disk: its files and the crates of its workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Reads a file, whose path is relative to the root of the repository.
pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files with this ending that git tracks or would add, relative to the root of the repository.
pub(super) fn files(ending: &str) -> Vec<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let exists = |file: &&str| root().join(file).exists();
    listed
        .lines()
        .filter(|file| file.ends_with(ending))
        .filter(exists)
        .map(str::to_owned)
        .collect()
}

/// The members of the workspace, as `Cargo.toml` lists them.
pub(super) fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, after) = manifest.split_once("\nmembers = [").unwrap();
    let (members, _) = after.split_once(']').unwrap();
    let members = members.split('"').skip(1).step_by(2).map(str::to_owned);
    members.collect()
}
