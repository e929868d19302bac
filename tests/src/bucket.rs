//! [`Bucket`]: an S3 server in the process of the test, for processes that store their files in a bucket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use storage::S3Credentials;
use storage::s3_server::{self, Space};

/// The access key of every bucket.
const ACCESS_KEY: &str = "key-of-tests";
const SECRET_KEY: &str = "secret-of-tests";

/// A bucket on a server of its own.
pub struct Bucket {
    /// The address of the server.
    pub address: SocketAddr,
    /// The space of the server.
    pub space: Space,
    /// The directory that holds the objects.
    pub directory: PathBuf,
}

impl Bucket {
    /// Starts a server that keeps its objects below `root`.
    pub async fn start(root: &Path) -> Self {
        let directory = root.join("bucket");
        std::fs::create_dir_all(&directory).unwrap();
        let space = Space::default();
        let started = s3_server::start_with_space(root, ACCESS_KEY, SECRET_KEY, space.clone()).await;
        Self {
            address: started.unwrap().0,
            space,
            directory,
        }
    }

    /// Credentials of the bucket.
    pub(crate) fn credentials() -> S3Credentials {
        S3Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
        }
    }

    /// The storage URL of a bucket behind an address.
    pub(crate) fn url(address: SocketAddr) -> String {
        format!("s3://bucket?endpoint=http://{address}&region=us-east-1")
    }

    /// The settings of a process that uses the bucket behind an address, such as that of a proxy.
    pub fn settings(address: SocketAddr) -> Vec<(&'static str, String)> {
        vec![
            ("STORAGE_URL", Self::url(address)),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    /// Settings of a process, with the bucket behind an address instead of the storage that they name.
    pub fn settings_instead(address: SocketAddr, others: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let mut settings = others.to_vec();
        settings.retain(|(name, _)| *name != "STORAGE_URL" && !name.starts_with("AWS_"));
        settings.extend(Self::settings(address));
        settings
    }
}
