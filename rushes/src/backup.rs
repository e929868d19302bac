//! `rushes backup DIR`: a copy of the database and of all files that its rows name, taken while the service runs.
//!
//! Files are written once and never changed, so only their coming and going matters. The database is copied first, then
//! every file that the copy names. A file that was removed in between is named by the copy and missing: then the database
//! is copied again, and only files that are new since then are copied. This ends as soon as nothing is removed
//! during one round, which is short from the second round on. A file that is missing in two rounds in a row is lost, for
//! rows go before their files do; it is listed, as one whose bytes are not those that its row records, and the rest is kept:
//! one lost file must not end all backups. The copy is complete when the directory has its name: until then it is written
//! beside it, as `DIR.partial`.

use crate::parts;
use crate::settings::Settings;
use anyhow::{Context, bail, ensure};
use entity::backup::{Named, named_files, snapshot};
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::{Storage, Stored, Target};

/// Rounds until the copy is given up because files are removed faster than they can be copied.
const ROUNDS: usize = 20;

/// The file that lists what storage has lost, one key a line.
const LOST: &str = "lost.txt";

/// Time between two lines of progress.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Writes the backup into `directory`, which must not exist, or be empty.
///
/// # Errors
/// When there is no backup, and when it is complete but for files that storage has lost.
pub(crate) async fn run(settings: &Settings, directory: &Path) -> anyhow::Result<()> {
    ensure!(
        settings.is_embedded_database(),
        "DATABASE_URL is Postgres, which has a tool of its own: pg_dump --format=custom --file=rushes.dump \"$DATABASE_URL\". \
         Copy the files of STORAGE_URL after it. docs/OPERATIONS.md, \"Backup and restore\", has the commands"
    );
    let partial = begin(directory)?;
    let outcome = copy(settings, &partial).await;
    if outcome.is_err() {
        // The reason of the failure matters, not that of a second one.
        let _ = fs::remove_dir_all(&partial);
    }
    let copied = outcome?;
    finish(&partial, directory).with_context(|| format!("failed to complete {}", directory.display()))?;
    tell(&format!(
        "The backup in {} is complete: the database and {} files, {} MB.",
        directory.display(),
        copied.files,
        copied.bytes / 1_000_000
    ));
    ensure!(
        copied.lost.is_empty(),
        "{} files that rows name are missing in storage or damaged, and not in the backup; {} names them",
        copied.lost.len(),
        directory.join(LOST).display()
    );
    Ok(())
}

/// Progress, for the person at the terminal; a terminal that is gone ends no backup.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Makes the directory beside the one that is asked for.
fn begin(directory: &Path) -> anyhow::Result<PathBuf> {
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
        Err(error) => Err(error).with_context(|| format!("failed to make {}", partial.display())),
    }
}

/// Files in the backup, and their bytes.
#[derive(Default)]
struct Copied {
    keys: HashSet<String>,
    files: usize,
    bytes: u64,
    /// Keys of files that storage has no more, or with other bytes than their rows record.
    lost: BTreeSet<String>,
}

async fn copy(settings: &Settings, partial: &Path) -> anyhow::Result<Copied> {
    let file = settings.database_url.trim_start_matches("sqlite://");
    let file = Path::new(file.split('?').next().unwrap_or(file));
    ensure!(file.exists(), "there is no database at {}", file.display());
    let db = parts::database(settings).await?;
    let from = parts::storage(settings).await?;
    let objects = format!("file://{}", std::path::absolute(partial.join("objects"))?.display());
    let to = Storage::open(&objects, None)
        .await
        .context("failed to write the backup")?;
    let mut copied = Copied::default();
    let mut gone_before = BTreeSet::new();
    for _ in 0..ROUNDS {
        let named = snapshot_of(&db, partial).await?;
        let gone = copy_new(&from, &to, &named, &mut copied).await?;
        if gone.is_subset(&gone_before) {
            copied.lost.extend(gone);
            forget_removed(&to, &named, &mut copied).await?;
            list_lost(partial, &copied.lost).context("failed to list what is lost")?;
            keep_secret(settings, partial).context("failed to copy jwt_secret")?;
            return Ok(copied);
        }
        tell(&format!(
            "{} files were removed meanwhile; copying the database again.",
            gone.len()
        ));
        gone_before = gone;
    }
    bail!("files are removed faster than they can be copied: {ROUNDS} rounds were not enough")
}

fn list_lost(partial: &Path, lost: &BTreeSet<String>) -> io::Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let lines: String = lost.iter().flat_map(|key| [key.as_str(), "\n"]).collect();
    fs::write(partial.join(LOST), lines)
}

/// Copies the database, and reads from the copy what it names.
async fn snapshot_of(db: &entity::DatabaseConnection, partial: &Path) -> anyhow::Result<Vec<Named>> {
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
    let named = named_files(&copy).await.context("failed to read the copy")?;
    entity::close(copy).await.context("failed to close the copy")?;
    Ok(named)
}

/// Copies what is not there yet; returns the keys that are named and missing.
async fn copy_new(
    from: &Storage,
    to: &Storage,
    named: &[Named],
    copied: &mut Copied,
) -> anyhow::Result<BTreeSet<String>> {
    let mut gone = BTreeSet::new();
    let mut told = Instant::now();
    for (position, file) in named.iter().enumerate() {
        if copied.keys.contains(&file.key) || copied.lost.contains(&file.key) {
            continue;
        }
        let target = Target::parse(&file.key).context("a row names no storage key")?;
        match from.copy(to, &target, file.entry.as_deref()).await {
            Ok(stored) if is_as_recorded(&stored, file) => {
                copied.keys.insert(file.key.clone());
                copied.files += 1;
                copied.bytes += stored.bytes;
            }
            // A set that was being removed while it was copied.
            Ok(_) if matches!(target, Target::Set(_)) => drop(gone.insert(file.key.clone())),
            Ok(_) => {
                tracing::warn!(
                    key = file.key,
                    "not what its row records: its length or its hash differs"
                );
                to.remove(&target)
                    .await
                    .context("failed to remove a file from the backup")?;
                copied.lost.insert(file.key.clone());
            }
            Err(storage::Error::NotFound { .. }) => {
                tracing::info!(key = file.key, "named by the copy of the database, and not in storage");
                gone.insert(file.key.clone());
            }
            Err(error) => return Err(error).with_context(|| format!("failed to copy {}", file.key)),
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell(&format!(
                "{} of {} files, {} MB",
                position + 1,
                named.len(),
                copied.bytes / 1_000_000
            ));
        }
    }
    Ok(gone)
}

fn is_as_recorded(stored: &Stored, file: &Named) -> bool {
    u64::try_from(file.bytes) == Ok(stored.bytes) && file.sha256 == stored.sha256
}

/// Removes files that an earlier round copied and the last copy of the database does not name any more.
async fn forget_removed(to: &Storage, named: &[Named], copied: &mut Copied) -> anyhow::Result<()> {
    let kept: HashSet<_> = named.iter().map(|file| file.key.as_str()).collect();
    for key in copied.keys.iter().filter(|key| !kept.contains(key.as_str())) {
        let target = Target::parse(key).context("a row names no storage key")?;
        to.remove(&target)
            .await
            .context("failed to remove a file from the backup")?;
        copied.files -= 1;
    }
    Ok(())
}

/// Copies the key that signs tokens and links, where it was made by Rushes itself.
fn keep_secret(settings: &Settings, partial: &Path) -> io::Result<()> {
    let secret = match fs::read(settings.data_dir.join("jwt_secret")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        secret => secret?,
    };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial.join("jwt_secret"))?;
    file.write_all(&secret)?;
    file.sync_all()
}

/// Brings the database to disk, then gives the directory its name.
fn finish(partial: &Path, directory: &Path) -> io::Result<()> {
    File::open(partial.join("rushes.db"))?.sync_all()?;
    File::open(partial)?.sync_all()?;
    // An empty directory gives way.
    fs::rename(partial, directory)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
