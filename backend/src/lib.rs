//! The HTTP API: server, router, middleware, extractors, handlers, errors, authentication and the OpenAPI document. The
//! only crate that uses axum.
//!
//! A handler extracts, calls a use case of `app` or a finder of `entity`, and answers.

mod access_log;
mod coalesce;
mod config;
mod drain_body;
mod error;
mod etag;
mod extract;
mod idempotency;
mod links;
mod openapi;
mod operations;
mod other_protocols;
mod problem;
mod reply;
mod request_context;
mod request_guards;
mod router;
mod routes;
mod serve;
mod spreadsheet;
mod state;
mod task_reply;
mod token;
mod tus;
mod upload;
mod view;
mod wait_slots;

pub use app::accounts::{PasswordPolicy, Rate, RateLimits};
pub use app::library::Bounds as DegradedBounds;
pub use axum::Router;
pub use config::{Config, Delivery, Secret, Secrets, WeakSecret};
pub use operations::document as openapi;
pub use router::{router, telemetry_router};
pub use serve::{ServerConfig, listen, serve};
pub use state::{AppState, ProcessHealth};
