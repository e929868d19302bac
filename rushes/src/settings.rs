//! All settings, read once from the environment. `.env.sample` documents them; a test compares the names.
//!
//! An invalid value prevents the start, with the name of the variable and the accepted values. An unknown variable with
//! our prefix does as well. Combinations that work only under conditions are warned of at the start
//! (`components::warn_of_risks`).

mod api;
mod environment;
mod limits;
mod log;
mod lookups;
mod names;
mod role;
mod secret;
mod uploads;
mod watch;
mod workers;

pub use environment::BadSetting;
pub use names::NAMES;
pub use role::Role;
pub use watch::WatchSettings;
pub(crate) use workers::threads;

use app::sealing::Sealer;
use backend::Config;
use domain::Limits;
use domain::protocol::{SandboxMode, VerifyDepth};
use environment::{Environment, bad};
use outbound::Policy;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::S3Credentials;
use url::Url;

/// Default of `RUSHES_STOP_DELAY_S` for an API behind a proxy, which needs some seconds to notice the shutdown.
const STOP_DELAY_BEHIND_PROXY_S: u64 = 6;

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Role of this process.
    pub role: Role,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of health and metrics of a worker; `None` for no server.
    pub metrics_listen: Option<SocketAddr>,
    /// gRPC clients may ask for the descriptions of the services.
    pub grpc_reflection: bool,
    /// Time for which requests are still accepted after a shutdown began.
    pub shutdown_delay: Duration,
    /// Directory for database, secret, scratch and stored files, unless other settings name other places.
    pub data_dir: PathBuf,
    /// `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// `redis://…`; `None` for a queue in memory.
    pub redis_url: Option<String>,
    /// `file://…` or `s3://…`.
    pub storage_url: String,
    /// Credentials of the bucket.
    pub s3: Option<S3Credentials>,
    /// Maximum number of tasks that are processed at the same time.
    pub workers: usize,
    /// The executable of media children; `None` for `rushes-media` beside the executable of this process.
    pub media_bin: Option<PathBuf>,
    /// Behavior when the kernel does not support the whole sandbox.
    pub sandbox: SandboxMode,
    /// The part of each output that is decoded to verify it.
    pub verify_depth: VerifyDepth,
    /// Limits of sources and tasks.
    pub limits: Limits,
    /// Time for which a resumable upload can be continued after its last byte.
    pub upload_ttl: Duration,
    /// Addresses that fetches of files and webhooks may reach.
    pub outbound: Policy,
    /// The service that looks up the points of manifests.
    pub lookups: Option<app::lookups::Settings>,
    /// The folder to watch.
    pub watch: Option<WatchSettings>,
    /// Encrypts secrets of users; `None` without a key.
    pub sealer: Option<Sealer>,
    /// Filter of log lines, in the syntax of `EnvFilter`.
    pub log: String,
    /// Configuration of the API; `None` for a process without one.
    pub api: Option<Config>,
}

impl Settings {
    /// Reads the settings from the environment of the process.
    ///
    /// # Errors
    /// The first invalid setting.
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    pub fn from_environment(role: Role) -> Result<Self, BadSetting> {
        let variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let texts = variables
            .iter()
            .map(|(name, value)| (name.to_str().unwrap_or_default(), value.to_str()));
        names::check(texts.map(|(name, value)| (name, value.unwrap_or_default())))?;
        Self::read(role, &|name| variables.get(OsStr::new(name)).cloned())
    }

    /// Reads the settings with `get`, which returns the value of a variable.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn read(role: Role, get: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        let env = Environment(get);
        let data_dir: PathBuf = env
            .text("RUSHES_DATA_DIR")?
            .unwrap_or_else(|| "./data".to_owned())
            .into();
        let database_url = database_url(&env, &data_dir)?;
        let storage = storage(&env, &data_dir)?;
        let sandbox_default = if role == Role::Worker {
            SandboxMode::Require
        } else {
            SandboxMode::BestEffort
        };
        let listen = env.parsed("RUSHES_LISTEN", "an address and a port such as 127.0.0.1:8000")?;
        let limits = limits::limits(&env)?;
        let sealer = secret::sealer(&env, role, &data_dir)?;
        let api = match role {
            Role::Up | Role::Backend => Some(api::config(&env, role, &data_dir, limits, &storage.url)?),
            Role::Worker | Role::Watch | Role::Migrate | Role::Backup => None,
        };
        Ok(Self {
            role,
            listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8_000))),
            grpc_reflection: env.one_of("RUSHES_GRPC_REFLECTION", &[("on", true), ("off", false)], true)?,
            metrics_listen: env.parsed("RUSHES_METRICS_LISTEN", "an address and a port such as 127.0.0.1:9100")?,
            shutdown_delay: shutdown_delay(&env, role)?,
            redis_url: redis_url(&env)?,
            workers: workers::workers(&env)?,
            media_bin: env.text("RUSHES_MEDIA_BIN")?.map(PathBuf::from),
            sandbox: env.one_of(
                "RUSHES_SANDBOX",
                &[
                    ("require", SandboxMode::Require),
                    ("best-effort", SandboxMode::BestEffort),
                ],
                sandbox_default,
            )?,
            verify_depth: env.one_of(
                "RUSHES_VERIFY",
                &[("fast", VerifyDepth::Fast), ("full", VerifyDepth::Full)],
                VerifyDepth::default(),
            )?,
            log: log::filter(&env)?,
            data_dir,
            database_url,
            storage_url: storage.url,
            s3: storage.s3,
            limits,
            upload_ttl: uploads::ttl(&env)?,
            outbound: uploads::outbound(&env)?,
            lookups: lookups::lookups(&env)?,
            sealer,
            watch: watch::watch(&env, role)?,
            api,
        })
    }

    /// True for a SQLite database.
    #[must_use]
    pub fn is_embedded_database(&self) -> bool {
        self.database_url.starts_with("sqlite:")
    }

    /// Path of a SQLite database.
    #[must_use]
    pub fn database_file(&self) -> Option<&Path> {
        let file = self.database_url.strip_prefix("sqlite://")?;
        Some(Path::new(file.split('?').next().unwrap_or(file)))
    }
}

fn shutdown_delay(env: &Environment<'_>, role: Role) -> Result<Duration, BadSetting> {
    let default = if role == Role::Backend {
        STOP_DELAY_BEHIND_PROXY_S
    } else {
        0
    };
    let accepted = "a whole number from 0 to 300";
    match env.parsed("RUSHES_STOP_DELAY_S", accepted)? {
        None => Ok(Duration::from_secs(default)),
        Some(seconds @ 0..=300) => Ok(Duration::from_secs(seconds)),
        Some(other) => Err(bad("RUSHES_STOP_DELAY_S", &other.to_string(), accepted)),
    }
}

fn database_url(env: &Environment<'_>, data_dir: &Path) -> Result<String, BadSetting> {
    let url = env.text("DATABASE_URL")?;
    let url = url.unwrap_or_else(|| format!("sqlite://{}", data_dir.join("rushes.db").display()));
    let is_known = ["sqlite://", "postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if is_known {
        return Ok(url);
    }
    // The error does not contain the value, which may hold a password.
    Err(bad(
        "DATABASE_URL",
        "not a database URL",
        "postgres://USER:PASSWORD@HOST/NAME or sqlite://PATH",
    ))
}

fn redis_url(env: &Environment<'_>) -> Result<Option<String>, BadSetting> {
    match env.text("REDIS_URL")? {
        Some(url) if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) => Err(bad(
            "REDIS_URL",
            "not a Redis URL",
            "redis://:PASSWORD@HOST:PORT/NUMBER or rediss://…",
        )),
        url => Ok(url),
    }
}

/// URL of the storage and the credentials of a bucket.
struct StorageSettings {
    url: String,
    s3: Option<S3Credentials>,
}

fn storage(env: &Environment<'_>, data_dir: &Path) -> Result<StorageSettings, BadSetting> {
    let keys = (env.text("AWS_ACCESS_KEY_ID")?, env.text("AWS_SECRET_ACCESS_KEY")?);
    let url = match env.text("STORAGE_URL")? {
        Some(url) => url,
        None => default_storage_url(data_dir)?,
    };
    match (url.split_once("://").map(|(scheme, _)| scheme), keys) {
        (Some("file"), _) => Ok(StorageSettings { url, s3: None }),
        (Some("s3"), (Some(access_key_id), Some(secret_access_key))) => Ok(StorageSettings {
            url,
            s3: Some(S3Credentials {
                access_key_id,
                secret_access_key,
            }),
        }),
        (Some("s3"), (None, _)) => Err(bad(
            "AWS_ACCESS_KEY_ID",
            "not set",
            "the access key of the bucket in STORAGE_URL",
        )),
        (Some("s3"), (_, None)) => Err(bad(
            "AWS_SECRET_ACCESS_KEY",
            "not set",
            "the secret of AWS_ACCESS_KEY_ID",
        )),
        _ => Err(bad(
            "STORAGE_URL",
            &format!("{url:?}"),
            "file:///DIRECTORY or s3://BUCKET?endpoint=http://HOST:PORT&region=NAME",
        )),
    }
}

/// The URL of the directory `objects` in the data directory.
fn default_storage_url(data_dir: &Path) -> Result<String, BadSetting> {
    let invalid = |problem: &str| bad("RUSHES_DATA_DIR", problem, "a directory");
    let path = std::path::absolute(data_dir.join("objects")).map_err(|error| invalid(&error.to_string()))?;
    let url = Url::from_directory_path(&path).map_err(|()| invalid(&path.display().to_string()))?;
    Ok(url.into())
}
