//! Arguments and variables of `rushes import`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use move_in::Service;
use std::ffi::OsString;
use std::path::PathBuf;
use thiserror::Error;

/// Import a manifest, or the videos of another video service, into a running Rushes
#[derive(Args)]
#[command(
    after_help = "Log in with the variable RUSHES_TOKEN, or with RUSHES_USER and RUSHES_PASSWORD. \
    Instead of any secret NAME, NAME_FILE can be the path of a file with it."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) from: From,
}

/// The source of the manifest.
#[derive(Subcommand)]
pub(super) enum From {
    /// A manifest: CSV or JSON Lines, plain, gzip or zstd
    Csv {
        /// The manifest
        file: PathBuf,
        /// `videos` for new videos, `metadata` for changes of videos
        #[arg(long, default_value = "videos", value_parser = ["videos", "metadata"])]
        kind: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Mux Video; credentials in `MUX_TOKEN_ID` and `MUX_TOKEN_SECRET`
    Mux {
        /// Address of the API
        #[arg(long, default_value = "https://api.mux.com", hide = true)]
        api: String,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        connection: Connection,
    },
    /// Cloudflare Stream; the API token in `CLOUDFLARE_API_TOKEN`
    Cloudflare {
        /// Id of the account
        #[arg(long, env = "CLOUDFLARE_ACCOUNT_ID")]
        account_id: String,
        /// Make downloads at Cloudflare of the videos that have none
        #[arg(long)]
        prepare: bool,
        /// Address of the API
        #[arg(long, default_value = "https://api.cloudflare.com/client/v4", hide = true)]
        api: String,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        connection: Connection,
    },
    /// A `PeerTube` instance; `PEERTUBE_TOKEN` is optional
    Peertube {
        /// Address of the instance
        url: String,
        /// Only the videos of this channel
        #[arg(long, conflicts_with = "account")]
        channel: Option<String>,
        /// Only the videos of this account
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        connection: Connection,
    },
    /// A `MediaCMS` instance; `MEDIACMS_TOKEN` is optional
    Mediacms {
        /// Address of the instance
        url: String,
        #[command(flatten)]
        listing: Listing,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Arguments of all sources.
#[derive(Args)]
pub(super) struct Connection {
    /// Address of Rushes
    #[arg(long, env = "RUSHES_URL", default_value = "http://localhost:8000")]
    pub(super) server: String,
    /// Check all rows and create nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Begin the import and do not wait for its end
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// Arguments of other video services.
#[derive(Args)]
pub(super) struct Listing {
    /// Preset of the tasks [default: that of the server]
    #[arg(long)]
    pub(super) preset: Option<String>,
    /// Write the manifest to this file and import nothing
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
    /// Maximum number of videos
    #[arg(long)]
    pub(super) limit: Option<u64>,
}

/// A missing argument or variable.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Another video service.
pub(super) struct Source {
    pub(super) service: Service,
    pub(super) address: String,
    pub(super) authorization: Option<String>,
}

impl From {
    pub(super) fn connection(&self) -> &Connection {
        match self {
            Self::Csv { connection, .. }
            | Self::Mux { connection, .. }
            | Self::Cloudflare { connection, .. }
            | Self::Peertube { connection, .. }
            | Self::Mediacms { connection, .. } => connection,
        }
    }

    /// The service with its arguments and credentials; `None` for a file.
    pub(super) fn source(&self) -> anyhow::Result<Option<(Source, &Listing)>> {
        let (service, address, authorization, listing) = match self {
            Self::Csv { .. } => return Ok(None),
            Self::Mux { api, listing, .. } => {
                let pair = format!("{}:{}", required("MUX_TOKEN_ID")?, required("MUX_TOKEN_SECRET")?);
                let authorization = format!("Basic {}", BASE64_STANDARD.encode(pair));
                (Service::Mux, api, Some(authorization), listing)
            }
            Self::Cloudflare {
                account_id,
                prepare,
                api,
                listing,
                ..
            } => {
                let service = Service::Cloudflare {
                    account: account_id.clone(),
                    prepare: *prepare,
                };
                let authorization = format!("Bearer {}", required("CLOUDFLARE_API_TOKEN")?);
                (service, api, Some(authorization), listing)
            }
            Self::Peertube {
                url,
                channel,
                account,
                listing,
                ..
            } => {
                let service = Service::Peertube {
                    channel: channel.clone(),
                    account: account.clone(),
                };
                let token = secret("PEERTUBE_TOKEN")?;
                (service, url, token.map(|token| format!("Bearer {token}")), listing)
            }
            Self::Mediacms { url, listing, .. } => {
                let token = secret("MEDIACMS_TOKEN")?;
                let authorization = token.map(|token| format!("Token {token}"));
                (Service::Mediacms, url, authorization, listing)
            }
        };
        let source = Source {
            service,
            address: address.clone(),
            authorization,
        };
        Ok(Some((source, listing)))
    }
}

fn required(name: &str) -> anyhow::Result<String> {
    let missing = || Usage(format!("set {name}, or {name}_FILE to the path of a file with it")).into();
    secret(name)?.ok_or_else(missing)
}

/// The value of a variable, or the content of the file that the variable with the suffix `_FILE` names.
pub(super) fn secret(name: &str) -> anyhow::Result<Option<String>> {
    if let Some(value) = variable(name) {
        let text = value.into_string();
        let text = text.map_err(|_| Usage(format!("{name} is not UTF-8")))?;
        return Ok(Some(text.trim().to_owned()));
    }
    let Some(path) = variable(&format!("{name}_FILE")) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(&path).map_err(|error| Usage(format!("{name}_FILE: {error}")))?;
    Ok(Some(text.trim().to_owned()))
}

/// The value of a variable, unless it is empty.
#[allow(
    clippy::disallowed_methods,
    reason = "the secrets of this command are no settings of the service"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
