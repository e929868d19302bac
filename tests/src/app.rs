//! [`TestApp`]: the API and a worker in the process of the test.

use crate::backing_services;
use crate::caller::Caller;
use backend::{AppState, Config, ProcessHealth, Secret, Secrets, ServerConfig};
use background::Background;
use domain::protocol::{SandboxMode, VerifyDepth};
use entity::DatabaseConnection;
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Queue;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use storage::{S3Credentials, Storage};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::child::ChildSettings;
use worker::{Env, Scratch};

/// The secret that signs the tokens of every service under test.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Differences from the default service.
pub struct Options {
    /// Changes the settings of the API.
    pub config: fn(&mut Config),
    /// Changes the settings of the worker; with `None` no worker runs.
    pub worker: Option<fn(&mut worker::Settings)>,
    /// Limits of connections and requests.
    pub server: ServerConfig,
    /// Stores files in a bucket in both setups.
    pub needs_bucket: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: |_| {},
            worker: Some(|_| {}),
            server: ServerConfig::default(),
            needs_bucket: false,
        }
    }
}

/// A running service. Stops when dropped.
pub struct TestApp {
    /// Base URL, such as `http://127.0.0.1:40123`.
    pub url: String,
    /// The database of this service.
    pub db: DatabaseConnection,
    /// The file storage of this service.
    pub storage: Storage,
    /// The queue of this service.
    pub queue: Queue,
    /// The temporary directory of this test.
    pub directory: tempfile::TempDir,
    /// Settings with which another process shares the database, queue and storage of this service.
    pub environment: Vec<(&'static str, String)>,
    /// The background tasks of the service.
    pub background: Background,
    shutdown: CancellationToken,
    _server: JoinHandle<()>,
    worker: Option<JoinHandle<()>>,
}

impl TestApp {
    /// Starts the default service.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts a service without a worker: tasks stay `uploaded`.
    pub async fn idle() -> Self {
        Self::idle_with(|_| {}).await
    }

    /// Starts a service without a worker and with other settings of the API.
    pub async fn idle_with(config: fn(&mut Config)) -> Self {
        Self::with(Options {
            config,
            worker: None,
            ..Options::default()
        })
        .await
    }

    /// Starts a service without a worker whose files are in a bucket in both setups.
    pub async fn idle_with_bucket() -> Self {
        Self::with(Options {
            worker: None,
            needs_bucket: true,
            ..Options::default()
        })
        .await
    }

    /// Starts a service with these options.
    pub async fn with(options: Options) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let (database_url, redis_url) = (
            backing_services::database_url(directory.path()).await,
            backing_services::redis_url(),
        );
        let (storage_url, credentials) = backing_services::storage_url(directory.path(), options.needs_bucket).await;
        let db = backing_services::database(&database_url).await;
        let queue = backing_services::queue(redis_url.as_deref()).await;
        let storage = Storage::open(&storage_url, credentials.clone()).await.unwrap();
        let secret = Secret::new(SECRET).unwrap();
        let mut config = Config::new(Secrets {
            current: secret,
            previous: None,
        });
        config.app.sealer = Some(app::sealing::Sealer::new(SECRET.as_bytes(), None));
        config.catalog_dir = directory.path().join("catalog");
        (options.config)(&mut config);
        let same = config.clone();
        let alive = ProcessHealth::default();
        let (shutdown, background) = (alive.shutdown.clone(), alive.background.clone());
        let state = AppState::new(db.clone(), storage.clone(), queue.clone(), config, alive.clone())
            .with_connections(options.server.max_connections)
            .with_metrics(metrics());
        let listener = backend::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        state.follow_logs(entity::connect(&database_url, 1).await.unwrap());
        let router = rushes::api::router(state, true).await.unwrap();
        let server = tokio::spawn(backend::serve(
            listener,
            router,
            options.server,
            shutdown.clone(),
            background.clone(),
        ));
        let worker = options.worker.map(|change| {
            let mut settings = worker_settings(&same);
            change(&mut settings);
            let scratch = Scratch::open(&directory.path().join("scratch")).unwrap();
            let env = Env::new(db.clone(), storage.clone(), queue.clone(), scratch, settings).unwrap();
            tokio::spawn(worker::run(env, shutdown.clone(), background.clone()))
        });
        let environment = environment(database_url, storage_url, redis_url, credentials);
        Self {
            url,
            db,
            storage,
            queue,
            directory,
            environment,
            background,
            shutdown,
            _server: server,
            worker,
        }
    }

    /// A client with a new account, logged in.
    pub async fn caller(&self) -> Caller {
        Caller::sign_up(&self.url).await
    }

    /// A client without a token.
    pub fn anonymous(&self) -> Caller {
        Caller::anonymous(&self.url)
    }

    /// Shuts down as at SIGTERM and waits for the worker.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(worker) = self.worker.take() {
            worker.await.unwrap();
        }
    }

    /// Paths of all stored files. Storage is a directory, or an S3 server of the test that keeps its objects in one.
    pub fn stored_files(&self) -> Vec<PathBuf> {
        let root = self.directory.path();
        let mut found = Vec::new();
        for top in ["objects", "s3/bucket"] {
            files_below(&root.join(top), &mut found);
        }
        found
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Environment variables with which another process shares a service.
fn environment(
    database_url: String,
    storage_url: String,
    redis_url: Option<String>,
    credentials: Option<S3Credentials>,
) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        ("DATABASE_URL", database_url),
        ("STORAGE_URL", storage_url),
        ("RUSHES_SEALING_KEY", SECRET.to_owned()),
    ];
    environment.extend(redis_url.map(|url| ("REDIS_URL", url)));
    if let Some(keys) = credentials {
        environment.extend([
            ("AWS_ACCESS_KEY_ID", keys.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
        ]);
    }
    environment
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn worker_settings(config: &Config) -> worker::Settings {
    let app = &config.app;
    worker::Settings {
        max_tasks: 2,
        threads: 2,
        limits: app.limits,
        upload_ttl: app.upload_ttl,
        outbound: app.outbound.clone(),
        lookups: app.lookups.clone(),
        watch: None,
        sealer: app.sealer.clone(),
        sandbox: SandboxMode::Require,
        verify_depth: VerifyDepth::Fast,
        child_memory_bytes: 8 << 30,
        child: ChildSettings::new(media_executable()),
        shutdown_grace: Duration::from_secs(5),
    }
}

/// The path of the executable `rushes` in the target directory of this test.
pub fn executable() -> PathBuf {
    built("rushes")
}

/// The path of the executable `rushes-media` in the target directory of this test.
pub fn media_executable() -> PathBuf {
    built("rushes-media")
}

fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let executable = test.ancestors().nth(2).unwrap().join(name);
    assert!(
        executable.exists(),
        "{} is missing: run `cargo build --workspace` first",
        executable.display()
    );
    executable
}

/// The metrics recorder. A process can install only one, and a test process runs several services.
fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        metrics_exporter_prometheus::PrometheusBuilder::new()
            .install_recorder()
            .unwrap()
    };
    HANDLE.get_or_init(install).clone()
}
