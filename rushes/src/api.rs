//! The router of the API: HTTP and gRPC on one port.

use anyhow::Context;
use backend::{AppState, Router};
use std::sync::Arc;

/// Joins the two APIs of a process. `has_reflection` lets gRPC clients ask for the descriptions of the services.
///
/// # Errors
/// The compiled descriptions of the services cannot be read.
pub async fn router(state: AppState, has_reflection: bool) -> anyhow::Result<Router> {
    let (tokens, links, ids) = (state.clone(), state.clone(), state.clone());
    let environment = grpc::Environment {
        app: state.app().clone(),
        shutdown: state.shutdown(),
        authenticate: Arc::new(move |headers| tokens.account_of(headers)),
        base_url: Arc::new(move |request| links.base_url(request)),
        request_id: Arc::new(move |request| ids.request_id(request)),
    };
    let grpc = grpc::router(environment, has_reflection).await;
    let grpc = grpc.context("failed to read the descriptions of the gRPC services")?;
    Ok(grpc::mount(backend::router(state), grpc))
}
