//! The HTTP edge: router, extractors, routes, errors, authentication, OpenAPI. The only crate that names axum.
//! Handlers decide nothing: `domain` reads wishes, `entity` owns rows, `storage` owns files.

mod auth;
mod choice;
mod config;
mod context;
mod error;
mod extract;
mod links;
mod once;
mod openapi;
mod problem;
mod reply;
mod router;
mod routes;
mod serve;
mod state;
mod trail;
mod upload;
mod validators;
mod view;

pub use axum::Router;
pub use config::{Config, PasswordPolicy, Rate, Secret, Secrets, Throttle, WeakSecret};
pub use extract::{BadCidr, Cidr};
pub use openapi::document as openapi;
pub use router::{router, telemetry_router};
pub use serve::{Serving, serve};
pub use state::{Alive, AppState};
