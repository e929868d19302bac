//! Health checks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The health of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy`, or `unhealthy` when the database or the storage is unavailable or a background task is failing.
    pub status: String,
    /// `connected` or `disconnected`.
    pub database: String,
    /// `ready` or `unavailable`.
    pub storage: String,
    /// `ready`, or `unavailable`: workers then find new tasks by polling, a little later.
    pub queue: String,
    /// The sandbox of media children on this machine: `full`, `partial`, `none`, or `elsewhere` when the workers run in
    /// other processes.
    pub sandbox: String,
    /// True when workers refuse tasks without a full sandbox; null when they run in other processes.
    pub sandbox_required: Option<bool>,
    /// The background tasks of this process.
    pub background: Vec<BackgroundTask>,
    /// The version of the API.
    #[schema(example = "0.1.0")]
    pub version: String,
}

/// A loop that runs as long as the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackgroundTask {
    /// The name of the task.
    #[schema(example = "sweeper")]
    pub name: String,
    /// `running`; `restarting` after a panic; `failing` after repeated panics.
    pub state: String,
    /// Number of panics since the process started.
    pub panics: u64,
}

/// The readiness of the process and of each part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// True when all parts are ready and the process is not stopping. In the mode `degraded` the database may be away.
    pub ready: bool,
    /// `normal`; `degraded` while the database is away and lists, searches and published videos are answered from the
    /// catalog.
    pub mode: String,
    /// True when the database answers.
    pub database: bool,
    /// `ready`; `filling` until lists and searches can be answered; null in processes that do not answer them.
    pub catalog: Option<String>,
    /// True when the storage answers.
    pub storage: bool,
    /// True when the queue answers.
    pub queue: bool,
    /// True when no background task is failing.
    pub background: bool,
    /// True when the process is shutting down.
    pub stopping: bool,
}
