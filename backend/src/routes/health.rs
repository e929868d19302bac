//! Health checks: `/api/health` for people, `/readyz` for load balancers, `/livez` for supervisors.

use crate::{AppState, ProcessHealth};
use api::health::{BackgroundTask, Health, Readiness};
use api::reply::Message;
use app::library::Library;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::library::Scope;
use domain::protocol::SandboxMode;
use entity::DatabaseConnection;
use queue::Queue;
use std::time::Duration;
use storage::Storage;

/// Time after which a database without an answer counts as unavailable.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Asks all parts. `library` is that of a process that answers from its catalog while the database is away.
pub(crate) async fn readiness(
    db: &DatabaseConnection,
    storage: &Storage,
    queue: &Queue,
    alive: &ProcessHealth,
    library: Option<&Library>,
) -> Readiness {
    let is_degraded = library.is_some_and(Library::is_degraded);
    let database = async {
        // While the circuit breaker is open, the answer is known.
        !is_degraded && is_reachable(db).await
    };
    let (database, storage, queue) = tokio::join!(database, storage.ready(), queue.ready());
    if let Err(error) = &storage {
        tracing::warn!(%error, "the storage does not answer");
    }
    let (storage, queue) = (storage.is_ok(), queue.is_ok());
    let storage = storage && !alive.files.is_changed();
    let (background, stopping) = (alive.background.is_healthy(), alive.shutdown.is_cancelled());
    let answers = library.is_some_and(|library| is_degraded && library.freshness(Scope::Public).is_ok());
    Readiness {
        ready: (database || answers) && storage && queue && background && !stopping,
        mode: if is_degraded { "degraded" } else { "normal" }.to_owned(),
        database,
        catalog: library.map(|library| if library.is_filled() { "ready" } else { "filling" }.to_owned()),
        storage,
        queue,
        background,
        stopping,
    }
}

async fn is_reachable(db: &DatabaseConnection) -> bool {
    let answer = tokio::time::timeout(DATABASE_TIMEOUT, entity::ready(db)).await;
    let error = match answer {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(late) => late.to_string(),
    };
    tracing::warn!(error, "the database does not answer");
    false
}

/// Asks all parts of a process with an API.
async fn readiness_of(state: &AppState) -> Readiness {
    let app = &state.app;
    readiness(&app.db, &app.storage, &app.queue, &state.alive, Some(&app.library)).await
}

/// The reply: 200 when ready, else 503.
pub(crate) fn readiness_reply(readiness: Readiness) -> (StatusCode, Json<Readiness>) {
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}

/// Shows the health of the service.
///
/// The state of each part, for people and monitoring.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "The service is healthy", body = Health),
    (status = 503, description = "The database or the storage is unavailable, or a background task is failing", body = Health)))]
pub(crate) async fn health(State(state): State<AppState>) -> (StatusCode, Json<Health>) {
    let parts = readiness_of(&state).await;
    let is_healthy = parts.database && parts.storage && parts.background;
    let background = state.alive.background.tasks();
    let background = background.iter().map(|task| BackgroundTask {
        name: task.name.to_owned(),
        state: task.state.as_str().to_owned(),
        panics: task.panics,
    });
    let word = |is_good, good: &str, bad: &str| if is_good { good } else { bad }.to_owned();
    let sandbox = state.process.sandbox.as_ref();
    let health = Health {
        status: word(is_healthy, "healthy", "unhealthy"),
        database: word(parts.database, "connected", "disconnected"),
        storage: word(parts.storage, "ready", "unavailable"),
        queue: word(parts.queue, "ready", "unavailable"),
        sandbox: sandbox
            .map_or("elsewhere", |(_, status)| match (status.landlock, status.seccomp) {
                (true, true) => "full",
                (false, false) => "none",
                _ => "partial",
            })
            .to_owned(),
        sandbox_required: sandbox.map(|(mode, _)| *mode == SandboxMode::Require),
        background: background.collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    (
        if is_healthy {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Json(health),
    )
}

/// Checks that the process answers.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/ping", tag = "health", responses((status = 200, description = "The process answers", body = Message)))]
pub(crate) async fn ping() -> Json<Message> {
    Json(Message::new("Ok"))
}

/// Checks that the process is alive.
///
/// Does not check other parts. For supervisors, which restart a process that does not answer.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "The process answers", body = Message)))]
pub(crate) async fn livez() -> Json<Message> {
    Json(Message::new("Ok"))
}

/// Checks that the process can serve requests.
///
/// Storage and queue answer, no background task is failing, the process is not shutting down, and the database answers
/// or is replaced by the catalog, see `mode`. For load balancers.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Ready", body = Readiness), (status = 503, description = "Not ready", body = Readiness)))]
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    readiness_reply(readiness_of(&state).await)
}
