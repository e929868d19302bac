//! Typed client of the HTTP API of Rushes: login, and imports of manifests.
//!
//! Replies are those of the crate `api`, at most 16 MiB large. An error reply is the problem that the server
//! sent. No redirect is followed, because the token would go with it.

use api::auth::{LoginBody, Token};
use api::imports::{ImportRowList, ImportView};
use api::problem::Problem;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// Maximum size of a reply. A page of 1,000 rows of the largest size would be larger; pages of 100 fit.
const MAX_BYTES: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum pause between two parts of a reply. A large manifest takes longer to send.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// An error of a request.
#[derive(Debug, Error)]
pub enum Error {
    /// The address of the server is none.
    #[error("{0:?} is no address of a server; accepted: http:// or https:// and a host")]
    Address(String),
    /// The token has characters that a header cannot have.
    #[error("the token has characters that no token has")]
    Token,
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
    /// The server refused the request.
    #[error("{}: {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// The reply is none of Rushes.
    #[error("the reply with status {0} is none of Rushes; is this its address?")]
    Reply(u16),
    /// The manifest cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
}

impl Error {
    /// Returns true if the same request may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Reply(status) => matches!(status, 502..=504),
            Self::Address(_) | Self::Token | Self::File(_) => false,
        }
    }
}

/// The options of a new import.
#[derive(Clone, Copy, Debug)]
pub struct NewImport<'a> {
    /// `videos` or `metadata`.
    pub kind: &'a str,
    /// The name of the manifest.
    pub name: &'a str,
    /// Check the rows without an effect.
    pub dry_run: bool,
}

/// A client of one server, for one account after [`Client::login`] or [`Client::authorize`].
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// Creates a client of the server at an address such as `http://localhost:8000`.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(address: &str) -> Result<Self, Error> {
        let base = Url::parse(&format!("{}/", address.trim_end_matches('/')));
        let base = base.ok().filter(|base| matches!(base.scheme(), "http" | "https"));
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        Ok(Self {
            http: http.map_err(|error| connection(&error))?,
            base: base.ok_or_else(|| Error::Address(address.to_owned()))?,
            authorization: None,
        })
    }

    /// Uses a token for all further requests.
    ///
    /// # Errors
    /// The token has characters that no header has.
    pub fn authorize(&mut self, token: &str) -> Result<(), Error> {
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Error::Token)?;
        header.set_sensitive(true);
        self.authorization = Some(header);
        Ok(())
    }

    /// Logs in with the name of an account and its password.
    ///
    /// # Errors
    /// The server refuses them.
    pub async fn login(&mut self, username: &str, password: &str) -> Result<(), Error> {
        let body = LoginBody {
            username: Some(username.to_owned()),
            password: Some(password.to_owned()),
        };
        let body = serde_json::to_vec(&body).map_err(|error| Error::File(error.into()))?;
        let request = self.request(Method::POST, "api/auth/login")?;
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let token: Token = answer(request).await?;
        self.authorize(&token.token)
    }

    /// Begins an import with a file, which is streamed.
    ///
    /// # Errors
    /// The file cannot be read, or the server refuses it.
    pub async fn create_import(&self, file: &Path, new: NewImport<'_>) -> Result<ImportView, Error> {
        let part = Part::file(file).await?.file_name(new.name.to_owned());
        let form = Form::new()
            .text("kind", new.kind.to_owned())
            .text("dry_run", new.dry_run.to_string())
            .part("file", part);
        answer(self.request(Method::POST, "api/imports")?.multipart(form)).await
    }

    /// Shows an import.
    ///
    /// # Errors
    /// There is none with this id.
    pub async fn import(&self, id: i64) -> Result<ImportView, Error> {
        answer(self.request(Method::GET, &format!("api/imports/{id}"))?).await
    }

    /// Lists up to 100 rows of an import that have an error, after the cursor of the previous page.
    ///
    /// # Errors
    /// There is no import with this id.
    pub async fn import_errors(&self, id: i64, cursor: Option<&str>) -> Result<ImportRowList, Error> {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("api/imports/{id}/rows?status=error&max=100{cursor}");
        answer(self.request(Method::GET, &path)?).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Error> {
        let url = self
            .base
            .join(path)
            .map_err(|_| Error::Address(self.base.to_string()))?;
        let request = self.http.request(method, url);
        Ok(match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        })
    }
}

fn connection(error: &reqwest::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Error::Connection(text)
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    let response = request.send().await.map_err(|error| connection(&error))?;
    let status = response.status();
    let body = body(response).await?;
    let unknown = Error::Reply(status.as_u16());
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| unknown);
    }
    match serde_json::from_slice(&body) {
        Ok(problem) => Err(Error::Refused(Box::new(problem))),
        Err(_) => Err(unknown),
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Error> {
    let (mut body, status) = (Vec::new(), response.status().as_u16());
    while let Some(chunk) = response.chunk().await.map_err(|error| connection(&error))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(Error::Reply(status));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
