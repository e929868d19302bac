//! `rushes import`: sends a manifest to a running service, or makes one from another video service first.
//!
//! It is a client of the HTTP API, so it needs neither the database nor the settings of the service. The manifest of
//! another service is written to a file first: the request tells its size, and can be repeated. Secrets come from the
//! environment or from files, never from the command line, which other users of the machine can read.

mod arguments;
mod progress;

pub(crate) use arguments::Arguments;

use anyhow::Context;
use api::imports::ImportView;
use arguments::{Connection, From, Listing, Source, Usage};
use client::{Client, NewImport};
use domain::manifest::ImportStatus;
use move_in::{Counts, Lister, Options, Skipped};
use progress::{Progress, note, shown};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::sleep;

/// Interval of the requests about the progress.
const POLL: Duration = Duration::from_secs(1);
/// Maximum number of failed requests in a row while the import is followed. A restart of the service takes fewer.
const FAILURES: u32 = 60;
/// Exit code after Ctrl-C, as of a process that the signal ends.
const INTERRUPTED: u8 = 130;

/// Runs the subcommand. The exit code is 0 if all rows succeeded, 1 if rows or the import failed, and 2 if arguments
/// or variables are missing.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let begun = Cell::new(None);
    let result = tokio::select! {
        result = import(arguments, &begun) => result,
        _ = tokio::signal::ctrl_c() => {
            note(&match begun.get() {
                Some(id) => format!("interrupted; import {id} goes on at the server, see GET /api/imports/{id}"),
                None => "interrupted; nothing was imported".to_owned(),
            });
            return ExitCode::from(INTERRUPTED);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            note(&format!("rushes: {}", shown(&format!("{error:#}"))));
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

async fn import(arguments: Arguments, begun: &Cell<Option<i64>>) -> anyhow::Result<ExitCode> {
    let connection = arguments.from.connection();
    let source = arguments.from.source()?;
    if let Some((source, listing)) = &source
        && let Some(path) = &listing.manifest
    {
        write_manifest(source, listing, path).await?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the list is made, which may take long.
    let client = logged_in(&connection.server).await?;
    let import = match (&arguments.from, &source) {
        (From::Csv { file, kind, .. }, _) => send(&client, file, kind, connection).await?,
        (_, None) => return Ok(ExitCode::SUCCESS),
        (_, Some((source, listing))) => {
            let file = tempfile::Builder::new().prefix("rushes-").suffix(".jsonl").tempfile();
            // Removed when it is dropped, and readable for its owner alone: addresses of files may be signed.
            let path = file.context("failed to create a temporary file")?.into_temp_path();
            if write_manifest(source, listing, &path).await?.rows == 0 {
                note("there is nothing to import");
                return Ok(ExitCode::SUCCESS);
            }
            send(&client, &path, "videos", connection).await?
        }
    };
    begun.set(Some(import.id));
    if connection.no_wait {
        note(&format!("import {} has begun", import.id));
        return Ok(ExitCode::SUCCESS);
    }
    let ended = follow(&client, import).await?;
    report(&client, &ended).await
}

async fn send(client: &Client, path: &Path, kind: &str, connection: &Connection) -> anyhow::Result<ImportView> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = NewImport {
        kind,
        name: &name,
        dry_run: connection.dry_run,
    };
    let sent = client.create_import(path, new).await;
    sent.with_context(|| format!("failed to import {}", path.display()))
}

async fn logged_in(server: &str) -> anyhow::Result<Client> {
    let mut client = Client::new(server)?;
    if let Some(token) = arguments::secret("RUSHES_TOKEN")? {
        client.authorize(&token)?;
        return Ok(client);
    }
    let user = arguments::secret("RUSHES_USER")?;
    let (Some(user), Some(password)) = (user, arguments::secret("RUSHES_PASSWORD")?) else {
        return Err(Usage("set RUSHES_TOKEN, or RUSHES_USER and RUSHES_PASSWORD".to_owned()).into());
    };
    let login = client.login(&user, &password).await;
    login.with_context(|| format!("failed to log in at {server}"))?;
    Ok(client)
}

async fn write_manifest(source: &Source, listing: &Listing, path: &Path) -> anyhow::Result<Counts> {
    let lister = Lister::new(source.service.clone(), &source.address, source.authorization.as_deref())?;
    let options = Options {
        preset: listing.preset.clone(),
        limit: listing.limit,
    };
    let mut open = OpenOptions::new();
    let file = open.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.with_context(|| format!("failed to write {}", path.display()))?);
    let mut report = |skipped: &Skipped| note(&format!("without a row: {}: {}", skipped.id, skipped.reason));
    let counts = lister.write(&options, &mut file, &mut report).await?;
    note(&format!("{} rows, {} assets without one", counts.rows, counts.skipped));
    Ok(counts)
}

/// Waits for the end of an import, with its progress.
async fn follow(client: &Client, mut import: ImportView) -> anyhow::Result<ImportView> {
    let (mut progress, mut failures) = (Progress::new(), 0);
    while import.finished_at.is_none() {
        progress.show(&import);
        sleep(POLL).await;
        match client.import(import.id).await {
            Ok(now) => (import, failures) = (now, 0),
            Err(error) if error.may_pass() && failures < FAILURES => failures += 1,
            Err(error) => return Err(error).with_context(|| format!("import {} goes on; failed to ask", import.id)),
        }
    }
    progress.end();
    Ok(import)
}

/// Prints the counts, and the first errors.
async fn report(client: &Client, import: &ImportView) -> anyhow::Result<ExitCode> {
    writeln!(io::stdout(), "import {}: {}", import.id, progress::counts(import))?;
    if let Some(error) = &import.error {
        note(&format!("{}: {}", error.code, shown(&error.detail)));
    }
    if import.rows.error > 0 {
        let page = client.import_errors(import.id, None).await?;
        for row in &page.data {
            let Some(error) = &row.error else { continue };
            let detail = error.detail.as_deref().unwrap_or_default();
            note(&format!("row {}: {}: {}", row.row, error.code, shown(detail)));
        }
        if page.next_cursor.is_some() {
            let id = import.id;
            note(&format!("more errors: GET /api/imports/{id}/result?only=errors"));
        }
    }
    let is_done = import.status == ImportStatus::Done && import.rows.error == 0;
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
