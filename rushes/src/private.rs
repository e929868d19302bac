//! Permissions of what this machine keeps: a database, tokens' key and people's videos are for the user of the service alone.
//!
//! The file mode mask of the process makes every new directory 0700 and every new file 0600, whoever writes it: this code,
//! SQLite, `object_store`, a media child. What an earlier version left with wider modes is narrowed at a start.

use crate::settings::Settings;
use anyhow::Context;
use nix::sys::stat::{Mode, umask};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use url::Url;

/// Permissions of group and others.
const FOREIGN: u32 = 0o077;

/// Names in a data directory, as they begin. A directory that holds anything else belongs to more than this service.
const DATA: &[&str] = &[
    "rushes.db",
    "jwt_secret",
    "objects",
    "scratch",
    "demo-server.log",
    "backup",
    "lock",
];
/// Directories of a storage directory.
const STORED: &[&str] = &["sources", "images", "outputs"];
/// Made by some file systems in the root of a volume.
const LOST: &str = "lost+found";

/// Directories below each other that are narrowed: those of a stored set, and some to spare. A scratch directory may be as deep
/// as a hostile child made it.
const DEPTH_MAX: u32 = 8;

/// Takes all permissions of group and others from every file that this process and its children make from now on.
pub(crate) fn by_default() {
    umask(Mode::from_bits_truncate(FOREIGN));
}

/// Makes the data directory, and narrows the modes of what is in it, of a storage directory and of a SQLite file elsewhere.
///
/// # Errors
/// When the data directory cannot be made.
pub(crate) fn prepare(settings: &Settings) -> anyhow::Result<()> {
    let data = &settings.data_dir;
    fs::create_dir_all(data).with_context(|| format!("failed to make RUSHES_DATA_DIR {}", data.display()))?;
    narrow_home(data, DATA);
    if let Some(directory) = storage_directory(&settings.storage_url).filter(|path| path.exists()) {
        narrow_home(&directory, STORED);
    }
    if let Some(file) = settings.database_file() {
        let file = file.display();
        for suffix in ["", "-wal", "-shm"] {
            narrow(Path::new(&format!("{file}{suffix}")), 0);
        }
    }
    Ok(())
}

/// The directory of a `file://` URL.
pub(crate) fn storage_directory(url: &str) -> Option<PathBuf> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// Narrows what is ours in a directory, and the directory itself where it holds nothing else.
fn narrow_home(home: &Path, ours: &[&str]) {
    let Ok(entries) = fs::read_dir(home) else { return };
    let mut foreign = None;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if ours.iter().any(|own| name.starts_with(own)) {
            narrow(&entry.path(), DEPTH_MAX);
        } else if name != LOST {
            foreign = Some(name.into_owned());
        }
    }
    match foreign {
        None => narrow(home, 0),
        Some(foreign) if is_wide(home) => tracing::warn!(
            directory = %home.display(),
            foreign,
            "other users may look into this directory; it keeps its mode, since it holds more than the data of this service"
        ),
        Some(_) => {}
    }
}

fn is_wide(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & FOREIGN != 0)
}

/// Narrows a file or directory, and what is below it down to `depth`. What is narrow was narrowed by an earlier start with all
/// below it, or made by this version. Symbolic links are left alone, with what they name.
fn narrow(path: &Path, depth: u32) {
    match try_narrow(path, depth) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "failed to take its permissions from other users");
        }
        _ => {}
    }
}

fn try_narrow(path: &Path, depth: u32) -> io::Result<()> {
    let facts = fs::symlink_metadata(path)?;
    let mode = facts.permissions().mode();
    if facts.is_symlink() || mode & FOREIGN == 0 {
        return Ok(());
    }
    // The directory first: nothing below it can be reached from then on.
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))?;
    if facts.is_dir() && depth > 0 {
        for entry in fs::read_dir(path)? {
            narrow(&entry?.path(), depth - 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn make(path: &Path, mode: u32) {
        if path.extension().is_some() {
            fs::write(path, "x").unwrap();
        } else {
            fs::create_dir_all(path).unwrap();
        }
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_an_earlier_version_left_open_is_closed_with_all_below_it() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        for (path, old) in [
            ("", 0o755),
            ("rushes.db", 0o644),
            ("rushes.db-wal", 0o640),
            ("objects", 0o755),
            ("objects/sources", 0o755),
            ("objects/sources/a.mp4", 0o644),
        ] {
            make(&home.join(path), old);
        }
        narrow_home(home, DATA);
        for (path, new) in [
            ("", 0o700),
            ("rushes.db", 0o600),
            ("rushes.db-wal", 0o600),
            ("objects", 0o700),
            ("objects/sources", 0o700),
            ("objects/sources/a.mp4", 0o600),
        ] {
            assert_eq!(mode(&home.join(path)), new, "{path}");
        }
    }

    #[test]
    fn a_directory_that_holds_more_keeps_its_mode_and_so_does_what_is_foreign() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        make(home, 0o755);
        make(&home.join("letters.txt"), 0o644);
        make(&home.join("objects"), 0o755);
        std::os::unix::fs::symlink(home.join("letters.txt"), home.join("objects/link.txt")).unwrap();
        narrow_home(home, DATA);
        assert_eq!(mode(home), 0o755);
        assert_eq!(mode(&home.join("letters.txt")), 0o644);
        assert_eq!(mode(&home.join("objects")), 0o700);
    }
}
