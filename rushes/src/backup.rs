//! `rushes backup DIR`: copies the database and all files that its rows name, while the service runs.
//!
//! *Problem.* Database and files cannot be copied at one moment. The copies must still agree.
//!
//! *Mechanism.* Stored files are written once and never changed, so only their creation and removal matter. The
//! database is copied first, then every file that the copy names. A file that was removed in between is named but
//! missing; in this case the next round copies the database again, and only the files that are new since. The rounds
//! end when no further file is missing. From the second round on they are short, because few files are new.
//!
//! *Lost files.* Rows are removed before their files. A file that is missing in two consecutive rounds was therefore
//! not removed but lost. It is listed in `lost.txt`, like a file whose size or hash is not the recorded one, and the
//! backup continues: one lost file must not prevent all backups.
//!
//! *Invariants.* A directory with the name `DIR` is a complete backup. Until then the copy is `DIR.partial`.

use crate::components;
use crate::settings::Settings;
use anyhow::{Context, bail, ensure};
use entity::backup::{StoredFile, snapshot, stored_files};
use futures::{StreamExt, stream};
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};
use storage::{Storage, Stored, Target};

/// Maximum number of rounds, for a service that removes files faster than they can be copied.
const ROUNDS_MAX: usize = 20;

/// Number of files that are copied at the same time. A bucket takes most of the time of a small file to answer.
const CONCURRENT_COPIES: usize = 8;

/// Name of the list of lost files, one storage key per line.
const LOST: &str = "lost.txt";

/// Interval between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Writes a backup to `directory`, which must not exist or must be empty.
///
/// # Errors
/// When the backup was not written, or was written without files that storage has lost.
pub(crate) async fn run(settings: &Settings, directory: &Path) -> anyhow::Result<()> {
    ensure!(
        settings.is_embedded_database(),
        "DATABASE_URL is Postgres; use its own tool: pg_dump --format=custom --file=rushes.dump \"$DATABASE_URL\". \
         Copy the files of STORAGE_URL after it. See \"Backup and restore\" in docs/OPERATIONS.md for the commands"
    );
    let partial = create_partial(directory)?;
    let result = copy(settings, &partial).await;
    if result.is_err() {
        // The first error is reported; an error of the cleanup would hide it.
        let _ = fs::remove_dir_all(&partial);
    }
    let copied = result?;
    publish(&partial, directory).with_context(|| format!("failed to complete {}", directory.display()))?;
    print(&format!(
        "The backup in {} is complete: the database and {} files, {} MB.",
        directory.display(),
        copied.files,
        copied.bytes / 1_000_000
    ));
    ensure!(
        copied.lost.is_empty(),
        "{} files that rows name are missing in storage or damaged, and are not in the backup; they are listed in {}",
        copied.lost.len(),
        directory.join(LOST).display()
    );
    Ok(())
}

/// Prints a line to standard error. Errors are ignored, because a closed terminal must not end a backup.
fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Creates the directory `DIR.partial`.
fn create_partial(directory: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(mut entries) = fs::read_dir(directory) {
        ensure!(
            entries.next().is_none(),
            "{} is not empty; give a directory that does not exist yet, such as one named by the date",
            directory.display()
        );
    }
    let mut name = directory
        .file_name()
        .with_context(|| format!("{} has no name", directory.display()))?
        .to_owned();
    name.push(".partial");
    let partial = directory.with_file_name(name);
    match DirBuilder::new().mode(0o700).create(&partial) {
        Ok(()) => Ok(partial),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{} exists: another backup is writing it, or one was killed; in the second case remove it first",
            partial.display()
        ),
        Err(error) => Err(error).with_context(|| format!("failed to create {}", partial.display())),
    }
}

/// The files in the backup.
#[derive(Default)]
struct Copied {
    keys: HashSet<String>,
    files: usize,
    bytes: u64,
    /// Keys of files that storage has lost, or whose size or hash is not the recorded one.
    lost: BTreeSet<String>,
}

/// Copies database, files and secret to `partial`.
async fn copy(settings: &Settings, partial: &Path) -> anyhow::Result<Copied> {
    let file = settings.database_url.trim_start_matches("sqlite://");
    let file = Path::new(file.split('?').next().unwrap_or(file));
    ensure!(file.exists(), "there is no database at {}", file.display());
    let db = components::database(settings).await?;
    let from = components::storage(settings).await?;
    let objects = format!("file://{}", std::path::absolute(partial.join("objects"))?.display());
    let to = Storage::open(&objects, None)
        .await
        .context("failed to write the backup")?;
    let mut copied = Copied::default();
    let mut missing_before = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let named = copy_database(&db, partial).await?;
        let missing = copy_new_files(&from, &to, &named, &mut copied).await?;
        if missing.is_subset(&missing_before) {
            copied.lost.extend(missing);
            remove_unnamed(&to, &named, &mut copied).await?;
            write_lost(partial, &copied.lost).context("failed to list the lost files")?;
            for key in ["jwt_secret", "sealing_key"] {
                copy_key(settings, partial, key).with_context(|| format!("failed to copy {key}"))?;
            }
            return Ok(copied);
        }
        print(&format!(
            "{} files were removed during the copy; copying the database again.",
            missing.len()
        ));
        missing_before = missing;
    }
    bail!("files are removed faster than they can be copied: {ROUNDS_MAX} rounds were not enough")
}

fn write_lost(partial: &Path, lost: &BTreeSet<String>) -> io::Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let lines: String = lost.iter().flat_map(|key| [key.as_str(), "\n"]).collect();
    fs::write(partial.join(LOST), lines)
}

/// Copies the database and returns the files that the copy names.
async fn copy_database(db: &entity::DatabaseConnection, partial: &Path) -> anyhow::Result<Vec<StoredFile>> {
    let path = partial.join("rushes.db");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("failed to replace the copy");
        }
        _ => {}
    }
    snapshot(db, &path).await.context("failed to copy the database")?;
    let url = format!("sqlite://{}", path.display());
    let copy = entity::connect(&url, 1).await.context("failed to open the copy")?;
    let named = stored_files(&copy).await.context("failed to read the copy")?;
    entity::close(copy).await.context("failed to close the copy")?;
    Ok(named)
}

/// Copies the named files that are not in the backup yet; returns the keys of those that are missing.
async fn copy_new_files(
    from: &Storage,
    to: &Storage,
    named: &[StoredFile],
    copied: &mut Copied,
) -> anyhow::Result<BTreeSet<String>> {
    let is_new = |file: &&StoredFile| !copied.keys.contains(&file.key) && !copied.lost.contains(&file.key);
    let new: Vec<_> = named.iter().filter(is_new).collect();
    let total = new.len();
    let copies = new
        .into_iter()
        .map(async |file| Ok::<_, anyhow::Error>((file, copy_file(from, to, file).await?)));
    let mut copies = pin!(stream::iter(copies).buffer_unordered(CONCURRENT_COPIES).enumerate());
    let (mut missing, mut damaged) = (BTreeSet::new(), BTreeSet::new());
    let mut printed = Instant::now();
    while let Some((index, copy)) = copies.next().await {
        let (file, copy) = copy?;
        match copy {
            FileCopy::Whole(bytes) => {
                copied.keys.insert(file.key.clone());
                copied.files += 1;
                copied.bytes += bytes;
            }
            FileCopy::Missing => drop(missing.insert(file.key.clone())),
            FileCopy::Damaged => drop(damaged.insert(file.key.clone())),
        }
        if printed.elapsed() >= PROGRESS_INTERVAL {
            printed = Instant::now();
            print(&format!(
                "{} of {total} files, {} MB",
                index + 1,
                copied.bytes / 1_000_000
            ));
        }
    }
    // Later copies of the database may not name them. After all copies, because a removal also removes directories that
    // are empty at the moment.
    for key in missing.iter().chain(&damaged) {
        remove(to, key).await?;
    }
    copied.lost.extend(damaged);
    Ok(missing)
}

/// The result of copying one file or set.
enum FileCopy {
    /// It is in the backup; its size in bytes.
    Whole(u64),
    /// It is not in storage, or files of the set are not.
    Missing,
    /// Its size or its hash is not the recorded one.
    Damaged,
}

/// Copies one file or set.
async fn copy_file(from: &Storage, to: &Storage, file: &StoredFile) -> anyhow::Result<FileCopy> {
    let target = Target::parse(&file.key).context("a row names no storage key")?;
    match from.copy(to, &target, file.entry.as_deref()).await {
        Ok(stored) if is_as_recorded(&stored, file) => return Ok(FileCopy::Whole(stored.bytes)),
        Ok(_) if matches!(target, Target::Object(_)) => {
            tracing::warn!(key = file.key, "the size or the hash of a file is not the recorded one");
            return Ok(FileCopy::Damaged);
        }
        // The files of a set are removed one after the other.
        Ok(_) | Err(storage::Error::NotFound { .. }) => {}
        Err(error) => return Err(error).with_context(|| format!("failed to copy {}", file.key)),
    }
    tracing::info!(
        key = file.key,
        "a file that the copy of the database names is not in storage"
    );
    Ok(FileCopy::Missing)
}

fn is_as_recorded(stored: &Stored, file: &StoredFile) -> bool {
    u64::try_from(file.bytes) == Ok(stored.bytes) && file.sha256 == stored.sha256
}

/// Removes files of earlier rounds that the latest copy of the database does not name.
async fn remove_unnamed(to: &Storage, named: &[StoredFile], copied: &mut Copied) -> anyhow::Result<()> {
    let named: HashSet<_> = named.iter().map(|file| file.key.as_str()).collect();
    for key in copied.keys.iter().filter(|key| !named.contains(key.as_str())) {
        remove(to, key).await?;
        copied.files -= 1;
    }
    Ok(())
}

/// Removes a file or a set from the backup.
async fn remove(to: &Storage, key: &str) -> anyhow::Result<()> {
    let target = Target::parse(key).context("a row names no storage key")?;
    let removed = to.remove(&target).await;
    removed.context("failed to remove a file from the backup")
}

/// Copies a key of the service, when it is a file of the data directory.
fn copy_key(settings: &Settings, partial: &Path, name: &str) -> io::Result<()> {
    let secret = match fs::read(settings.data_dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        secret => secret?,
    };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial.join(name))?;
    file.write_all(&secret)?;
    file.sync_all()
}

/// Syncs the database to disk, then renames the directory to its final name.
fn publish(partial: &Path, directory: &Path) -> io::Result<()> {
    File::open(partial.join("rushes.db"))?.sync_all()?;
    File::open(partial)?.sync_all()?;
    // rename(2) replaces an empty directory.
    fs::rename(partial, directory)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
