//! File permissions: database, secret key and videos are readable only by the user of the service.
//!
//! *New files.* The umask of the process is 0077, so every new directory is 0700 and every new file 0600, whether this
//! code, SQLite, `object_store` or a media child creates it.
//!
//! *Existing files.* Earlier versions created files with other modes. At each start, group and other users lose their
//! permissions on them. A directory that also contains foreign files keeps its mode.

use crate::settings::Settings;
use anyhow::Context;
use nix::sys::stat::{Mode, umask};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use url::Url;

/// Permission bits of group and others.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Prefixes of the names of our files in a data directory. Other files in it are foreign.
const DATA_NAMES: &[&str] = &[
    "rushes.db",
    "jwt_secret",
    "sealing_key",
    "objects",
    "catalog",
    "scratch",
    "demo-server.log",
    "backup",
    "lock",
];
/// Names of the directories in a storage directory.
const STORAGE_NAMES: &[&str] = &["sources", "images", "outputs", "searches"];
/// Created by some file systems in the root of a volume.
const LOST_AND_FOUND: &str = "lost+found";

/// Maximum depth of the directories that are changed; a stored set is less deep. A scratch directory may be very deep
/// when a child was taken over.
const DEPTH_MAX: u32 = 8;

/// Sets the umask: files that this process and its children create are accessible only by their user.
pub(crate) fn restrict_new_files() {
    umask(Mode::from_bits_truncate(GROUP_AND_OTHERS));
}

/// Creates the data directory, and restricts the existing files in it, in the storage directory and of a SQLite
/// database elsewhere.
///
/// # Errors
/// When the data directory cannot be created.
pub(crate) fn prepare(settings: &Settings) -> anyhow::Result<()> {
    let data = &settings.data_dir;
    fs::create_dir_all(data).with_context(|| format!("failed to create RUSHES_DATA_DIR {}", data.display()))?;
    restrict_directory(data, DATA_NAMES);
    if let Some(directory) = storage_directory(&settings.storage_url).filter(|path| path.exists()) {
        restrict_directory(&directory, STORAGE_NAMES);
    }
    if let Some(file) = settings.database_file() {
        let file = file.display();
        for suffix in ["", "-wal", "-shm"] {
            restrict(Path::new(&format!("{file}{suffix}")), 0);
        }
    }
    Ok(())
}

/// The directory of a `file://` URL.
pub(crate) fn storage_directory(url: &str) -> Option<PathBuf> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "file")?;
    url.to_file_path().ok()
}

/// Restricts our files in a directory, and the directory itself when it contains nothing else.
fn restrict_directory(directory: &Path, ours: &[&str]) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut foreign = None;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if ours.iter().any(|prefix| name.starts_with(prefix)) {
            restrict(&entry.path(), DEPTH_MAX);
        } else if name != LOST_AND_FOUND {
            foreign = Some(name.into_owned());
        }
    }
    match foreign {
        None => restrict(directory, 0),
        Some(foreign) if is_accessible_by_others(directory) => tracing::warn!(
            directory = %directory.display(),
            foreign,
            "other users can access this directory; its mode is not changed, because it contains foreign files"
        ),
        Some(_) => {}
    }
}

fn is_accessible_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & GROUP_AND_OTHERS != 0)
}

/// Removes the permissions of group and others from a file, or from a directory and everything in it down to `depth`.
///
/// Skips a file or directory without such permissions: an earlier start has restricted it with everything in it, or
/// this version has created it. Symbolic links and their targets are not changed.
fn restrict(path: &Path, depth: u32) {
    match try_restrict(path, depth) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "failed to remove the permissions of other users");
        }
        _ => {}
    }
}

fn try_restrict(path: &Path, depth: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let mode = metadata.permissions().mode();
    if metadata.is_symlink() || mode & GROUP_AND_OTHERS == 0 {
        return Ok(());
    }
    // The directory first: from then on, other users cannot reach anything in it.
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7700))?;
    if metadata.is_dir() && depth > 0 {
        for entry in fs::read_dir(path)? {
            restrict(&entry?.path(), depth - 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]
    use super::*;

    fn create(path: &Path, mode: u32) {
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
    fn existing_files_are_restricted_with_everything_below_them() {
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
            create(&home.join(path), old);
        }
        restrict_directory(home, DATA_NAMES);
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
    fn a_directory_with_foreign_files_keeps_its_mode_and_so_do_these_files() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        create(home, 0o755);
        create(&home.join("letters.txt"), 0o644);
        create(&home.join("objects"), 0o755);
        std::os::unix::fs::symlink(home.join("letters.txt"), home.join("objects/link.txt")).unwrap();
        restrict_directory(home, DATA_NAMES);
        assert_eq!(mode(home), 0o755);
        assert_eq!(mode(&home.join("letters.txt")), 0o644);
        assert_eq!(mode(&home.join("objects")), 0o700);
    }
}
