//! An S3 server in this process that stores objects in a directory, for tests only.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves the directory on a free port of the loopback address until the returned task is aborted. Each subdirectory of
/// `dir` is a bucket with that name.
///
/// # Errors
/// The port cannot be opened, or the directory cannot be read.
pub async fn start(dir: &Path, access_key: &str, secret_key: &str) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let files = s3s_fs::FileSystem::new(dir).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(access_key, secret_key));
    let service = service.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let http = Builder::new(TokioExecutor::new());
                // An error here means that the client has disconnected.
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    Ok((address, serving))
}
