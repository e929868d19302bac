//! [`App`]: the parts of the service that the use cases need. [`Core`]: those of uploads, which a worker has too.

use crate::Refusal;
use crate::accounts::password::Hasher;
use crate::accounts::policy::{PasswordPolicy, RateLimits};
use crate::accounts::throttle::AttemptLimiter;
use crate::events::EventStreams;
use crate::imports::Watchers;
use crate::library::Library;
use crate::lookups;
use crate::sealing::{self, Sealer};
use crate::searches::OpenTickets;
use crate::uploads::active::ActiveUploads;
use domain::Limits;
use entity::{DatabaseConnection, DbErr};
use outbound::Policy;
use queue::Queue;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use storage::Storage;

/// Settings of the use cases.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Preset of an upload that has neither a preset nor a recipe.
    pub default_preset: String,
    /// Limits of uploads and tasks.
    pub limits: Limits,
    /// Threads that a worker uses for one task; estimates depend on it.
    pub threads: u32,
    /// Rules for new passwords.
    pub password_policy: PasswordPolicy,
    /// Rate limits of sign-up and login.
    pub throttle: RateLimits,
    /// Timeout of each query of an upload; see [`Core::with_timeout`].
    pub query_timeout: Duration,
    /// Time after its last byte for which a resumable upload may be continued.
    pub upload_ttl: Duration,
    /// Addresses that fetches of files and webhooks may reach.
    pub outbound: Policy,
    /// The service that looks up the points of manifests; `None` where the operator has named none.
    pub lookups: Option<lookups::Settings>,
    /// Encrypts secrets of users; `None` where the operator has given no key.
    pub sealer: Option<Sealer>,
}

impl Default for Settings {
    /// Preset `web`, two threads, queries of at most 30 s, uploads that can be continued for a day.
    fn default() -> Self {
        Self {
            default_preset: "web".to_owned(),
            limits: Limits::default(),
            threads: 2,
            password_policy: PasswordPolicy::default(),
            throttle: RateLimits::default(),
            query_timeout: Duration::from_secs(30),
            upload_ttl: Duration::from_hours(24),
            outbound: Policy::default(),
            lookups: None,
            sealer: None,
        }
    }
}

/// The parts that uploads need. A worker, which fetches files, has these alone: neither a library that answers nor keys
/// that sign. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    /// The database, which decides about every resource.
    pub db: DatabaseConnection,
    /// Sources, images and outputs.
    pub storage: Storage,
    /// Wakes workers.
    pub queue: Queue,
    /// The settings.
    pub settings: Arc<Settings>,
    pub(crate) active: ActiveUploads,
}

impl Core {
    /// Connects the use cases of uploads with the other parts of the service.
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, settings: Settings) -> Self {
        Self {
            db,
            storage,
            queue,
            settings: Arc::new(settings),
            active: ActiveUploads::default(),
        }
    }

    /// Encrypts and decrypts secrets of users.
    ///
    /// # Errors
    /// `sealing_unavailable` where the operator has given no key.
    pub fn sealer(&self) -> Result<&Sealer, Refusal> {
        self.settings.sealer.as_ref().ok_or_else(sealing::unavailable)
    }

    /// Runs a query of an upload within the query timeout. An upload itself has no time limit, because its duration
    /// depends on the size of the file.
    ///
    /// # Errors
    /// The errors of the query; `unavailable` when the timeout has passed.
    pub fn with_timeout<T, E: From<DbErr>>(
        &self,
        query: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        // Boxed, because the size of the future would add to that of each calling future.
        entity::with_timeout(self.settings.query_timeout, Box::pin(query))
    }
}

/// The parts of the service that the use cases need. Cheap to clone.
#[derive(Clone)]
pub struct App {
    core: Core,
    /// Lists and searches of videos.
    pub library: Library,
    /// Open streams of events.
    pub events: EventStreams,
    pub(crate) tickets: OpenTickets,
    pub(crate) import_watchers: Watchers,
    pub(crate) hasher: Hasher,
    pub(crate) limiter: Arc<AttemptLimiter>,
}

impl App {
    /// Connects the use cases with the other parts of the service.
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, library: Library, settings: Settings) -> Self {
        Self {
            library,
            events: EventStreams::default(),
            tickets: OpenTickets::default(),
            import_watchers: Watchers::default(),
            hasher: Hasher::for_this_machine(),
            limiter: Arc::new(AttemptLimiter::new(settings.throttle)),
            core: Core::new(db, storage, queue, settings),
        }
    }
}

/// An app is a core with more parts: a use case that needs the core takes an app as well.
impl Deref for App {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}
