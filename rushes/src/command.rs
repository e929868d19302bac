//! The subcommands.

use crate::data_dir;
use crate::descriptors;
use crate::log::Log;
use crate::settings::{Role, Settings};
use crate::{backup, parts, private};
use crate::{serve, telemetry};
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "rushes", version, about = "Self-hosted video processing", long_about = None)]
#[command(after_help = "Settings are environment variables; .env.sample lists them all.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process: API and worker on SQLite and a local directory, no settings needed
    Up,
    /// The API alone
    Backend,
    /// A worker alone
    Worker,
    /// Bring the database to the newest shape and exit
    Migrate,
    /// Copy the SQLite database and all files that it names into a new directory, while the service runs
    Backup {
        /// Directory to make; start Rushes with it as `RUSHES_DATA_DIR` to restore
        directory: PathBuf,
    },
    /// The sandboxed child that opens media; started by workers, not by people
    #[command(hide = true)]
    Media,
}

/// Parses the command line and runs; the exit code is 2 for a bad setting, 1 for any other failure.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let role = match &command {
        Command::Up => Role::Up,
        Command::Backend => Role::Backend,
        Command::Worker => Role::Worker,
        Command::Migrate => Role::Migrate,
        Command::Backup { .. } => Role::Backup,
        Command::Media => return media::run(),
    };
    // Before the first file: settings make the key that signs tokens.
    private::by_default();
    let log = Log::to_stderr();
    let _last_lines = log.last_lines();
    let settings = match Settings::from_environment(role) {
        Ok(settings) => settings,
        Err(error) => return complain(&log, &error.to_string(), 2),
    };
    telemetry::start(&settings.log, &log);
    if let Err(error) = descriptors::raise() {
        return complain(&log, &format!("{error:#}"), 1);
    }
    // One crypto provider for every TLS connection of the process; a second one would have to be chosen at each.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().expect("nothing else installs a provider");
    match run(command, role, settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&log, &format!("{error:#}"), 1),
    }
}

/// Says why the process ends, and gives its exit code.
fn complain(log: &Log, message: &str, code: u8) -> ExitCode {
    log.line(format!("rushes: {message}\n").into_bytes());
    ExitCode::from(code)
}

#[tokio::main]
async fn run(command: Command, role: Role, settings: Settings) -> anyhow::Result<()> {
    if let Command::Backup { directory } = command {
        return backup::run(&settings, &directory).await;
    }
    private::prepare(&settings)?;
    let _lock = data_dir::lock(&settings, role)?;
    let db = parts::database(&settings).await?;
    if role != Role::Worker || settings.is_embedded_database() {
        migration::run(&db).await.context("failed to migrate the database")?;
    }
    let ended = match role {
        Role::Migrate | Role::Backup => Ok(()),
        Role::Up => serve::up(settings, db.clone()).await,
        Role::Backend => serve::backend(settings, db.clone()).await,
        Role::Worker => serve::worker(settings, db.clone()).await,
    };
    if let Err(error) = entity::close(db).await {
        tracing::warn!(%error, "the database was not closed cleanly; nothing is lost");
    }
    ended
}
