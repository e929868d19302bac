//! Every setting, read once from the environment. A bad value stops the start with the variable's name and what is
//! accepted; a risky pair is said aloud. `.env.sample` documents the same names, which a test compares.

mod api;
mod log;
mod names;
mod read;
mod secret;

use backend::Config;
use domain::Limits;
use domain::protocol::{Depth, SandboxMode};
use read::{Read, within};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The names of all settings, in the order of `.env.sample`.
pub const NAMES: &[&str] = &[
    "RUSHES_LISTEN",
    "RUSHES_PUBLIC_URL",
    "RUSHES_DATA_DIR",
    "RUSHES_TRUSTED_PROXIES",
    "RUSHES_CORS_ORIGINS",
    "RUSHES_METRICS_LISTEN",
    "RUSHES_STOP_DELAY_S",
    "RUSHES_HSTS_MAX_AGE_S",
    "RUSHES_LOG",
    "RUSHES_LANGUAGE",
    "DATABASE_URL",
    "REDIS_URL",
    "STORAGE_URL",
    "RUSHES_DEFAULT_PRESET",
    "RUSHES_WORKERS",
    "RUSHES_SANDBOX",
    "RUSHES_VERIFY",
    "RUSHES_MAX_UPLOAD_BYTES",
    "RUSHES_MAX_DURATION_S",
    "RUSHES_MAX_OUTPUT_DURATION_S",
    "RUSHES_MAX_OUTPUT_FRAMES",
    "RUSHES_MAX_OUTPUT_MEGAPIXELS",
    "RUSHES_MAX_TASK_CPU_S",
    "RUSHES_TOKEN_TTL_S",
    "RUSHES_LINK_TTL_S",
    "RUSHES_PASSWORD_POLICY",
    "RUSHES_JWT_SECRET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
];

/// Which part of the product this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// API and worker.
    Up,
    /// API.
    Backend,
    /// Worker.
    Worker,
    /// Migrations only.
    Migrate,
    /// Copies database and files, then ends.
    Backup,
}

impl Role {
    /// The subcommand.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Backend => "backend",
            Self::Worker => "worker",
            Self::Migrate => "migrate",
            Self::Backup => "backup",
        }
    }
}

/// Why a start was refused: the variable, its value where it is no secret, and what is accepted.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}; accepted: {accepted}")]
pub struct BadSetting {
    /// The variable.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub accepted: String,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which part of the product this process is.
    pub role: Role,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where a worker's own health and metrics listen.
    pub metrics_listen: Option<SocketAddr>,
    /// How long requests are still accepted after a stop began.
    pub stop_delay: Duration,
    /// What this machine keeps.
    pub data_dir: PathBuf,
    /// `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// `redis://…`; in memory when absent.
    pub redis_url: Option<String>,
    /// `file://…` or `s3://…`.
    pub storage_url: String,
    /// Keys of the bucket.
    pub s3: Option<storage::S3Credentials>,
    /// Tasks at a time.
    pub workers: usize,
    /// What to do when the kernel cannot lock a child in.
    pub sandbox: SandboxMode,
    /// How much of an output is decoded to verify it.
    pub depth: Depth,
    /// What a source may be.
    pub limits: Limits,
    /// Filter of log lines.
    pub log: String,
    /// What the API needs; absent where no API runs.
    pub api: Option<Config>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// The first bad value.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub fn from_environment(role: Role) -> Result<Self, BadSetting> {
        let variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let texts = variables
            .iter()
            .map(|(name, value)| (name.to_str().unwrap_or_default(), value.to_str()));
        names::check(texts.map(|(name, value)| (name, value.unwrap_or_default())))?;
        Self::read(role, &|name| variables.get(OsStr::new(name)).cloned())
    }

    /// Reads settings from `get`, which gives the value of a variable.
    ///
    /// # Errors
    /// The first bad value.
    pub fn read(role: Role, get: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        let env = Read(get);
        let data_dir: PathBuf = env
            .text("RUSHES_DATA_DIR")?
            .unwrap_or_else(|| "./data".to_owned())
            .into();
        let database_url = database_url(&env, &data_dir)?;
        let (storage_url, s3) = storage(&env, &data_dir)?;
        let sandbox_default = if role == Role::Worker {
            SandboxMode::Require
        } else {
            SandboxMode::BestEffort
        };
        let listen = env.parsed("RUSHES_LISTEN", "an address and a port such as 127.0.0.1:8000")?;
        let limits = limits(&env)?;
        let api = match role {
            Role::Up | Role::Backend => Some(api::config(&env, role, &data_dir, limits)?),
            Role::Worker | Role::Migrate | Role::Backup => None,
        };
        Ok(Self {
            role,
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8_000))),
            metrics_listen: env.parsed("RUSHES_METRICS_LISTEN", "an address and a port such as 127.0.0.1:9100")?,
            stop_delay: stop_delay(&env, role)?,
            redis_url: redis_url(&env)?,
            workers: workers(&env)?,
            sandbox: env.one_of(
                "RUSHES_SANDBOX",
                &[
                    ("require", SandboxMode::Require),
                    ("best-effort", SandboxMode::BestEffort),
                ],
                sandbox_default,
            )?,
            depth: env.one_of(
                "RUSHES_VERIFY",
                &[("fast", Depth::Fast), ("full", Depth::Full)],
                Depth::default(),
            )?,
            log: log::filter(&env)?,
            data_dir,
            database_url,
            storage_url,
            s3,
            limits,
            api,
        })
    }

    /// Whether the database is a file that this process may be the first to open.
    #[must_use]
    pub fn is_embedded_database(&self) -> bool {
        self.database_url.starts_with("sqlite:")
    }

    /// The file of a SQLite database.
    #[must_use]
    pub fn database_file(&self) -> Option<&Path> {
        let file = self.database_url.strip_prefix("sqlite://")?;
        Some(Path::new(file.split('?').next().unwrap_or(file)))
    }
}

/// Before an API that runs alone stands a proxy, which must find out that it stops.
fn stop_delay(env: &Read<'_>, role: Role) -> Result<Duration, BadSetting> {
    let default = if role == Role::Backend { 6 } else { 0 };
    let accepted = "a whole number from 0 to 300";
    match env.parsed("RUSHES_STOP_DELAY_S", accepted)? {
        None => Ok(Duration::from_secs(default)),
        Some(seconds @ 0..=300) => Ok(Duration::from_secs(seconds)),
        Some(other) => Err(read::bad("RUSHES_STOP_DELAY_S", &other.to_string(), accepted)),
    }
}

fn database_url(env: &Read<'_>, data_dir: &std::path::Path) -> Result<String, BadSetting> {
    let url = env.text("DATABASE_URL")?;
    let url = url.unwrap_or_else(|| format!("sqlite://{}", data_dir.join("rushes.db").display()));
    let known = ["sqlite://", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if known {
        return Ok(url);
    }
    // The value may hold a password.
    Err(read::bad(
        "DATABASE_URL",
        "not a database URL",
        "postgres://USER:PASSWORD@HOST/NAME or sqlite://PATH",
    ))
}

fn redis_url(env: &Read<'_>) -> Result<Option<String>, BadSetting> {
    match env.text("REDIS_URL")? {
        Some(url) if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) => Err(read::bad(
            "REDIS_URL",
            "not a Redis URL",
            "redis://:PASSWORD@HOST:PORT/NUMBER or rediss://…",
        )),
        url => Ok(url),
    }
}

type StorageSettings = (String, Option<storage::S3Credentials>);

fn storage(env: &Read<'_>, data_dir: &std::path::Path) -> Result<StorageSettings, BadSetting> {
    let keys = (env.text("AWS_ACCESS_KEY_ID")?, env.text("AWS_SECRET_ACCESS_KEY")?);
    let url = match env.text("STORAGE_URL")? {
        Some(url) => url,
        None => {
            let absolute = std::path::absolute(data_dir.join("objects"));
            let absolute = absolute.map_err(|error| read::bad("RUSHES_DATA_DIR", &error.to_string(), "a directory"))?;
            let as_url = Url::from_directory_path(&absolute);
            as_url
                .map_err(|()| read::bad("RUSHES_DATA_DIR", &absolute.display().to_string(), "a directory"))?
                .into()
        }
    };
    let accepted = "file:///DIRECTORY or s3://BUCKET?endpoint=http://HOST:PORT&region=NAME";
    match (url.split_once("://").map(|(scheme, _)| scheme), keys) {
        (Some("file"), _) => Ok((url, None)),
        (Some("s3"), (Some(access_key_id), Some(secret_access_key))) => Ok((
            url,
            Some(storage::S3Credentials {
                access_key_id,
                secret_access_key,
            }),
        )),
        (Some("s3"), (None, _)) => Err(read::bad(
            "AWS_ACCESS_KEY_ID",
            "not set",
            "the key of the bucket in STORAGE_URL",
        )),
        (Some("s3"), (_, None)) => Err(read::bad(
            "AWS_SECRET_ACCESS_KEY",
            "not set",
            "the secret of AWS_ACCESS_KEY_ID",
        )),
        _ => Err(read::bad("STORAGE_URL", &format!("{url:?}"), accepted)),
    }
}

/// Threads of one task when so many are worked on at once.
pub(crate) fn threads(workers: usize) -> u32 {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    u32::try_from(cores.div_ceil(workers)).unwrap_or(1)
}

fn workers(env: &Read<'_>) -> Result<usize, BadSetting> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    match env.parsed::<usize>("RUSHES_WORKERS", "1 to 64")? {
        None => Ok((cores / 2).max(1)),
        Some(tasks @ 1..=64) => Ok(tasks),
        Some(other) => Err(read::bad("RUSHES_WORKERS", &other.to_string(), "1 to 64")),
    }
}

/// A week.
const TASK_MAX: u64 = 1_000_000_000_000;
const DURATION_MAX_S: u64 = 7 * 24 * 3_600;
/// The largest object of S3: 5 TiB.
const UPLOAD_MAX_BYTES: u64 = 5 << 40;

fn limits(env: &Read<'_>) -> Result<Limits, BadSetting> {
    let default = Limits::default();
    let (longest, bytes) = (default.max_duration_us / 1_000_000, default.max_upload_bytes);
    let seconds = within(env, "RUSHES_MAX_DURATION_S", (1..=DURATION_MAX_S, "seconds"), longest)?;
    let any = 1..=TASK_MAX;
    let most = default.max_output_duration_us / 1_000_000;
    let output_s = within(env, "RUSHES_MAX_OUTPUT_DURATION_S", (any.clone(), "seconds"), most)?;
    Ok(Limits {
        max_upload_bytes: within(env, "RUSHES_MAX_UPLOAD_BYTES", (1..=UPLOAD_MAX_BYTES, "bytes"), bytes)?,
        max_duration_us: seconds.saturating_mul(1_000_000),
        max_output_duration_us: output_s.saturating_mul(1_000_000),
        max_output_frames: within(
            env,
            "RUSHES_MAX_OUTPUT_FRAMES",
            (any.clone(), "frames"),
            default.max_output_frames,
        )?,
        max_output_megapixels: within(
            env,
            "RUSHES_MAX_OUTPUT_MEGAPIXELS",
            (any.clone(), "megapixels"),
            default.max_output_megapixels,
        )?,
        max_cpu_s: within(
            env,
            "RUSHES_MAX_TASK_CPU_S",
            (any, "processor seconds"),
            default.max_cpu_s,
        )?,
        ..default
    })
}
