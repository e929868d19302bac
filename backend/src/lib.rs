//! The HTTP API: server, router, middleware, extractors, handlers, errors, authentication and the OpenAPI document. The
//! only crate that uses axum.
//!
//! Handlers make no decisions of their own: `domain` parses and plans recipes, `entity` owns rows and their state
//! machine, `storage` owns files.

mod access_log;
mod api;
mod auth;
mod config;
mod drain_body;
mod error;
mod etag;
mod extract;
mod idempotency;
mod links;
mod openapi;
mod problem;
mod recipe_choice;
mod reply;
mod request_context;
mod request_guards;
mod router;
mod routes;
mod serve;
mod state;
mod upload;
mod view;

pub use api::document as openapi;
pub use axum::Router;
pub use config::{Config, PasswordPolicy, Rate, RateLimits, Secret, Secrets, WeakSecret};
pub use extract::{Cidr, InvalidCidr};
pub use router::{router, telemetry_router};
pub use serve::{ServerConfig, serve};
pub use state::{AppState, ProcessHealth};
