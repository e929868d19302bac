//! The gRPC API, on the port of the HTTP API.
//!
//! *Mechanism.* [`mount`] gives requests with the content type `application/grpc` to the services of this crate and all
//! others to the HTTP API. The two share nothing but the port: the middleware of the HTTP API, such as its time limits
//! and its error pages, would break calls. The services call the same use cases of `app` as the HTTP handlers, so their
//! answers, codes and rules are the same.
//!
//! *Errors* (`status.rs`) carry the code of the table in `domain` as the reason of a `google.rpc.ErrorInfo`.
//!
//! *Limits.* A message has at most 64 KiB. A call has a maximum duration, and ends sooner at the deadline of the caller
//! (`deadline.rs`). The number of streams of a connection is limited by `backend::serve`.
//!
//! *Operation.* Each call has a line in the log and is measured (`access_log.rs`). A panic of a handler ends only its
//! call (`panic.rs`).
//!
//! *Health and reflection.* `grpc.health.v1` reports `SERVING` for the library also while the database is away.
//! Imports need the database: their health follows within a second. Reflection is offered as v1 and, for older clients,
//! as v1alpha.

mod access_log;
mod call;
mod convert;
mod deadline;
mod imports;
mod library;
mod method;
mod mount;
mod panic;
mod status;
pub mod v1;

pub use call::{Authenticate, Environment, MakeBaseUrl, RequestId};
pub use mount::mount;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use imports::Imports;
use library::Library;
use std::time::Duration;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use v1::import_service_server::ImportServiceServer;
use v1::library_service_server::LibraryServiceServer;

/// The services. `has_reflection` offers their descriptions to clients.
///
/// # Errors
/// The compiled descriptors cannot be read.
pub async fn router(environment: Environment, has_reflection: bool) -> Result<Router, tonic_reflection::server::Error> {
    access_log::initialize_metrics();
    let library = LibraryServiceServer::new(Library::new(environment.clone()));
    let library = library.max_decoding_message_size(status::MESSAGE_BYTES);
    let (health, service) = tonic_health::server::health_reporter();
    health.set_serving::<LibraryServiceServer<Library>>().await;
    let imports = ImportServiceServer::new(Imports::new(environment.clone()));
    let imports = imports.max_decoding_message_size(status::MESSAGE_BYTES);
    let mut routes = Routes::new(library).add_service(imports).add_service(service);
    tokio::spawn(report_health(health, environment.clone()));
    if has_reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes
            .add_service(builder().build_v1()?)
            .add_service(builder().build_v1alpha()?);
    }
    Ok(routes
        .into_axum_router()
        .layer(from_fn(status::refuse_unreadable))
        .layer(from_fn(panic::catch))
        .layer(from_fn_with_state(environment.shutdown.clone(), deadline::limit))
        .layer(from_fn_with_state(environment, access_log::log)))
}

/// Interval in which the health of services that need the database is looked at.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// Reports the health of services that need the database, until the shutdown.
async fn report_health(health: HealthReporter, environment: Environment) {
    let mut was_degraded = None;
    loop {
        let is_degraded = environment.app.library.is_degraded();
        if was_degraded != Some(is_degraded) {
            was_degraded = Some(is_degraded);
            if is_degraded {
                health.set_not_serving::<ImportServiceServer<Imports>>().await;
            } else {
                health.set_serving::<ImportServiceServer<Imports>>().await;
            }
        }
        let wait = tokio::time::sleep(HEALTH_INTERVAL);
        if environment.shutdown.run_until_cancelled(wait).await.is_none() {
            return;
        }
    }
}
