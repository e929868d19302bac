//! The command line: subcommands, and the start and end of their process.

use crate::backup;
use crate::components;
use crate::data_dir;
use crate::fd_limit;
use crate::import;
use crate::log::Log;
use crate::permissions;
use crate::serve;
use crate::settings::{Role, Settings, WatchSettings};
use crate::telemetry;
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Time that the end of the process waits for system calls, such as reads of a network file system that is away.
const BLOCKED_AT_MOST: Duration = Duration::from_secs(10);

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
    /// Watch a folder: each file that is put into it becomes a task, and is moved to done/ or failed/ then
    Watch {
        /// A directory, or `s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=NAME`
        folder: String,
        /// Preset of the tasks [default: `RUSHES_WATCH_PRESET`, or web]
        #[arg(long, conflicts_with = "recipe")]
        preset: Option<String>,
        /// File with the recipe of the tasks as JSON
        #[arg(long)]
        recipe: Option<PathBuf>,
        /// E-mail address of the account of the tasks [default: `RUSHES_WATCH_USER`, or the only account]
        #[arg(long)]
        user: Option<String>,
    },
    /// Migrate the database to the schema of this version and exit
    Migrate,
    /// Copy the SQLite database and all files that it names to a new directory, while the service runs
    Backup {
        /// Directory to create; start Rushes with it as `RUSHES_DATA_DIR` to restore
        directory: PathBuf,
    },
    /// Import a manifest, or the videos of another video service, into a running Rushes
    Import(import::Arguments),
}

/// Parses the command line and runs the subcommand. The exit code is 2 for an invalid setting and 1 for any other
/// error.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Arguments::parse().command {
        Command::Import(arguments) => return client(arguments),
        command => command,
    };
    let role = match &command {
        Command::Up => Role::Up,
        Command::Backend => Role::Backend,
        Command::Worker => Role::Worker,
        Command::Watch { .. } => Role::Watch,
        Command::Migrate => Role::Migrate,
        Command::Backup { .. } => Role::Backup,
        Command::Import(_) => unreachable!("returned above"),
    };
    // Before the first file is created: reading the settings may create the key that signs tokens.
    permissions::restrict_new_files();
    let log = Log::to_stderr();
    let _flush_guard = log.flush_guard();
    let settings = match Settings::from_environment(role) {
        Ok(settings) => settings,
        Err(error) => return fail(&log, &error.to_string(), 2),
    };
    telemetry::start(&settings.log, &log);
    if let Err(error) = fd_limit::raise() {
        return fail(&log, &format!("{error:#}"), 1);
    }
    install_crypto();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&log, &format!("failed to start the runtime: {error}"), 1),
    };
    let result = runtime.block_on(run(command, role, settings));
    runtime.shutdown_timeout(BLOCKED_AT_MOST);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&log, &format!("{error:#}"), 1),
    }
}

/// Runs a subcommand that is a client of a running service. It reads no settings of the service.
fn client(arguments: import::Arguments) -> ExitCode {
    install_crypto();
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(import::run(arguments)),
        Err(error) => fail(&Log::to_stderr(), &format!("failed to start the runtime: {error}"), 1),
    }
}

/// All TLS connections of the process use this crypto provider. With two of them, each connection would have to choose.
fn install_crypto() {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().expect("no other code installs a provider");
}

/// Logs the reason for the end of the process and returns its exit code.
fn fail(log: &Log, message: &str, code: u8) -> ExitCode {
    log.line(format!("rushes: {message}\n").into_bytes());
    ExitCode::from(code)
}

async fn run(command: Command, role: Role, mut settings: Settings) -> anyhow::Result<()> {
    match command {
        Command::Backup { directory } => return backup::run(&settings, &directory).await,
        Command::Watch {
            folder,
            preset,
            recipe,
            user,
        } => {
            settings.watch = settings.watch.map(|watch| WatchSettings {
                place: folder,
                preset: preset.unwrap_or(watch.preset),
                recipe,
                user: user.or(watch.user),
                ..watch
            });
        }
        Command::Up | Command::Backend | Command::Worker | Command::Migrate | Command::Import(_) => {}
    }
    if role == Role::Watch
        && let Some(file) = settings.database_file().filter(|file| !file.exists())
    {
        anyhow::bail!(
            "there is no database {}; set RUSHES_DATA_DIR or DATABASE_URL to those of the service",
            file.display()
        );
    }
    permissions::prepare(&settings)?;
    let _lock = data_dir::lock(&settings, role)?;
    let db = components::database(&settings).await?;
    if !matches!(role, Role::Worker | Role::Watch) || settings.is_embedded_database() {
        migration::run(&db).await.context("failed to migrate the database")?;
    }
    let result = match role {
        Role::Migrate | Role::Backup => Ok(()),
        Role::Up => serve::up(settings, db.clone()).await,
        Role::Backend => serve::backend(settings, db.clone()).await,
        Role::Worker => serve::worker(settings, db.clone()).await,
        Role::Watch => serve::watch(settings, db.clone()).await,
    };
    if let Err(error) = entity::close(db).await {
        tracing::warn!(%error, "failed to close the database; no data is lost");
    }
    result
}
