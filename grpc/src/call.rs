//! The facts about a call that are not in its message: the account, and the base URL of links.

use app::App;
use axum::extract::Request as HttpRequest;
use axum::http::HeaderMap;
use domain::{Code, UserId};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request};

/// Finds the account of the `authorization` header (RFC 6750 §2.1), whose token is valid.
pub type Authenticate = dyn Fn(&HeaderMap) -> Result<UserId, Code> + Send + Sync;

/// Makes the base URL of the links in the response to a request.
pub type MakeBaseUrl = dyn Fn(&HttpRequest) -> String + Send + Sync;

/// Finds the id of a request.
pub type RequestId = dyn Fn(&HttpRequest) -> Arc<str> + Send + Sync;

/// The parts of the process that the services need. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// The use cases.
    pub app: App,
    /// Canceled when the shutdown of the process begins.
    pub shutdown: CancellationToken,
    /// Authentication.
    pub authenticate: Arc<Authenticate>,
    /// Base URLs.
    pub base_url: Arc<MakeBaseUrl>,
    /// Request ids.
    pub request_id: Arc<RequestId>,
}

/// The base URL of links, an extension of the request. It follows from parts of the request that tonic does not pass
/// on, such as the URI.
#[derive(Clone)]
pub(crate) struct BaseUrl(pub(crate) String);

/// A call without its message.
pub(crate) struct Call {
    metadata: MetadataMap,
    extensions: Extensions,
}

impl Call {
    /// Separates a call from its message.
    pub(crate) fn of<T>(request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Self { metadata, extensions }, message)
    }

    /// The account of the token.
    pub(crate) async fn account(&self, environment: &Environment) -> Result<UserId, app::Error> {
        let headers = self.metadata.clone().into_headers();
        let account = (environment.authenticate)(&headers)?;
        app::accounts::check_viewer(&environment.app, account).await?;
        Ok(account)
    }

    /// The base URL of links, which `access_log` has added.
    pub(crate) fn base_url(&self) -> &str {
        self.extensions.get::<BaseUrl>().map_or("", |BaseUrl(url)| url)
    }
}
