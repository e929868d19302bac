//! Settings of a worker, and the handles that every attempt uses.

use crate::child::{ChildSettings, ChildStarter};
use crate::scratch::Scratch;
use app::Core;
use app::lookups::{self, Lookups};
use app::sealing::Sealer;
use app::watch::Watch;
use domain::Limits;
use domain::protocol::{SandboxMode, VerifyDepth};
use entity::DatabaseConnection;
use outbound::{Client, Policy};
use queue::Queue;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use storage::Storage;
use tokio_util::sync::CancellationToken;

/// Settings of a worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Maximum number of tasks that are processed at the same time.
    pub max_tasks: usize,
    /// Maximum number of threads per task.
    pub threads: u32,
    /// Limits of sources and tasks.
    pub limits: Limits,
    /// Behavior when the kernel does not support the whole sandbox.
    pub sandbox: SandboxMode,
    /// The part of each output that is decoded to verify it.
    pub verify_depth: VerifyDepth,
    /// Memory limit of one child in bytes; see [`domain::protocol::Session`].
    pub child_memory_bytes: u64,
    /// Executable and timeouts of media children.
    pub child: ChildSettings,
    /// Time after which an upload that is not continued is removed.
    pub upload_ttl: Duration,
    /// Addresses that fetches of files and webhooks may reach.
    pub outbound: Policy,
    /// The service that looks up the points of manifests; `None` where the operator has named none.
    pub lookups: Option<lookups::Settings>,
    /// A folder whose files become tasks.
    pub watch: Option<Watch>,
    /// Decrypts secrets of users; `None` where the operator has given no key.
    pub sealer: Option<Sealer>,
    /// Time for tasks in progress after a shutdown began; then they are released.
    pub shutdown_grace: Duration,
}

/// The environment of a worker: connections, directories, settings and the starter of children. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// The database, which decides about every task.
    pub db: DatabaseConnection,
    /// Sources, images and outputs.
    pub storage: Storage,
    /// Wakes other workers.
    pub queue: Queue,
    /// The directory in which children write.
    pub scratch: Arc<Scratch>,
    /// Settings of this worker.
    pub settings: Arc<Settings>,
    /// The parts of the service that fetched uploads need.
    pub(crate) uploads: Core,
    /// The client for their URLs.
    pub(crate) client: Client,
    /// Looks up the points of manifests.
    pub(crate) lookups: Option<Lookups>,
    /// Starts media children.
    pub(crate) children: ChildStarter,
    /// Canceled when the shutdown timeout ends: tasks in progress are released.
    pub(crate) release: CancellationToken,
}

impl Env {
    /// Creates the environment of a worker.
    ///
    /// # Errors
    /// The machine has no thread left, or no root certificates.
    pub fn new(
        db: DatabaseConnection,
        storage: Storage,
        queue: Queue,
        scratch: Scratch,
        settings: Settings,
    ) -> io::Result<Self> {
        let of_uploads = app::Settings {
            limits: settings.limits,
            upload_ttl: settings.upload_ttl,
            outbound: settings.outbound.clone(),
            sealer: settings.sealer.clone(),
            ..app::Settings::default()
        };
        Ok(Self {
            uploads: Core::new(db.clone(), storage.clone(), queue.clone(), of_uploads),
            lookups: settings.lookups.clone().map(Lookups::new).transpose()?,
            client: Client::new(settings.outbound.clone()).map_err(io::Error::other)?,
            db,
            storage,
            queue,
            scratch: Arc::new(scratch),
            children: ChildStarter::new(settings.child.clone())?,
            settings: Arc::new(settings),
            release: CancellationToken::new(),
        })
    }
}
