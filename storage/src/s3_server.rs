//! An S3 server in this process that stores objects in a directory, for tests only.

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{Body, HttpError, HttpRequest, S3Error, S3ErrorCode, S3Result, s3_error};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Limit of a body that a full server receives: more than one part of an upload.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The space of a server. Clones share it. A full server refuses the bytes of objects; everything else works.
#[derive(Clone, Debug, Default)]
pub struct Space(Arc<Mutex<Option<Refusal>>>);

/// The reply of a full server.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    status: u16,
    code: &'static str,
}

impl Space {
    /// Makes the server full. It replies with this status and code.
    pub fn exhaust(&self, status: u16, code: &'static str) {
        self.set(Some(Refusal { status, code }));
    }

    /// Gives the server space again.
    pub fn free(&self) {
        self.set(None);
    }

    fn set(&self, refusal: Option<Refusal>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    fn refusal(&self) -> Option<Refusal> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives the whole body first if the server is full. A refusal before the end of the body closes the connection,
    /// and a client that is still sending may see only that.
    async fn received(&self, mut request: HttpRequest) -> Result<HttpRequest, HttpError> {
        if self.refusal().is_some() {
            let body = request.body_mut().store_all_limited(BODY_BYTES_MAX).await;
            *request.body_mut() = body.map_err(HttpError::new)?.into();
        }
        Ok(request)
    }
}

/// The conditions on which the server accepts a request.
struct Access {
    space: Space,
    /// The directory, which has a file for each multipart upload.
    root: PathBuf,
}

impl Access {
    /// Returns `true` if the request names a multipart upload that has ended. S3 replies with `NoSuchUpload` then.
    fn names_ended_upload(&self, context: &S3AccessContext<'_>) -> bool {
        let mut pairs = context.uri().query().unwrap_or_default().split('&');
        let id = pairs.find_map(|pair| pair.strip_prefix("uploadId="));
        id.is_some_and(|id| !self.root.join(format!(".upload-{id}.json")).exists())
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "a signature is required"));
        }
        match self.space.refusal() {
            _ if self.names_ended_upload(context) => Err(s3_error!(NoSuchUpload)),
            Some(Refusal { status, code }) if matches!(context.s3_op().name(), "PutObject" | "UploadPart") => {
                let mut error = S3Error::new(S3ErrorCode::Custom(code.into()));
                error.set_status_code(status.try_into().map_err(S3Error::internal_error)?);
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

/// The headers that a signed request for an object asks for with `response-…`, which `s3s-fs` ignores.
fn wanted_headers(uri: &Uri) -> HeaderMap {
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let wanted = query.filter_map(|(name, value)| {
        let name = HeaderName::try_from(name.strip_prefix("response-")?).ok()?;
        Some((name, HeaderValue::try_from(value.as_ref()).ok()?))
    });
    wanted.collect()
}

/// Serves the directory on a free port of the loopback address until the returned task is aborted. Each subdirectory of
/// `dir` is a bucket with that name.
///
/// # Errors
/// The port cannot be opened, or the directory cannot be read.
pub async fn start(dir: &Path, access_key: &str, secret_key: &str) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    start_with_space(dir, access_key, secret_key, Space::default()).await
}

/// Serves a directory like [`start`], on a server whose space can run out.
///
/// # Errors
/// The port cannot be opened, or the directory cannot be read.
pub async fn start_with_space(
    dir: &Path,
    access_key: &str,
    secret_key: &str,
    space: Space,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let files = s3s_fs::FileSystem::new(dir).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(access_key, secret_key));
    service.set_access(Access {
        space: space.clone(),
        root: dir.to_owned(),
    });
    let files = service.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (files, space) = (files.clone(), space.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (files, space) = (files.clone(), space.clone());
                async move {
                    let wanted = wanted_headers(request.uri());
                    let mut response = files.call(space.received(request.map(Body::from)).await?).await?;
                    if response.status().is_success() {
                        response.headers_mut().extend(wanted);
                    }
                    Ok::<_, HttpError>(response)
                }
            });
            tokio::spawn(async move {
                let http = Builder::new(TokioExecutor::new());
                // An error here means that the client has disconnected.
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    Ok((address, serving))
}
