//! [`Lister`]: the walk over all pages of a service, and the manifest that it writes.

use crate::entry::{Entry, Skipped};
use crate::error::Error;
use crate::http::{Http, shown};
use crate::{cloudflare, mediacms, mux, peertube};
use serde_json::Value;
use std::collections::HashSet;
use std::io::Write;
use url::Url;

const NO_LIST: &str = "the reply is no list of videos; is this the address of such a service?";
const GONE: &str = "it was deleted, or these credentials may not see it";
/// Maximum number of videos on a page of Cloudflare. A full page of one moment has no next one.
const CLOUDFLARE_PAGE: usize = 1_000;
const DAMAGED: &str = "the entry is damaged: it has no id";

/// A service, and what selects its videos. `api` is the base of the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Mux Video.
    Mux,
    /// Cloudflare Stream.
    Cloudflare {
        /// The id of the account.
        account: String,
        /// Make downloads of the videos that have none, which changes them at Cloudflare.
        prepare: bool,
    },
    /// A `PeerTube` instance: its own public videos, or those of a channel or of an account.
    Peertube {
        /// The name of a channel.
        channel: Option<String>,
        /// The name of an account.
        account: Option<String>,
    },
    /// A `MediaCMS` instance.
    Mediacms,
}

/// The rows to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The preset of all rows.
    pub preset: Option<String>,
    /// Maximum number of rows.
    pub limit: Option<u64>,
}

/// The numbers of assets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows in the manifest.
    pub rows: u64,
    /// Assets that are not in the manifest.
    pub skipped: u64,
}

/// Lists a service.
pub struct Lister {
    http: Http,
    base: Url,
    service: Service,
}

/// The manifest while it is written.
struct Output<'a> {
    file: &'a mut dyn Write,
    report: &'a mut dyn FnMut(&Skipped),
    options: &'a Options,
    counts: Counts,
}

impl Output<'_> {
    fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.counts.rows >= limit)
    }

    fn add(&mut self, entry: Entry) -> Result<(), Error> {
        match entry {
            Entry::Skipped(skipped) => {
                self.counts.skipped += 1;
                (self.report)(&skipped);
            }
            Entry::Row(_) if self.is_full() => {}
            Entry::Row(mut row) => {
                row.preset.clone_from(&self.options.preset);
                serde_json::to_writer(&mut *self.file, &row).map_err(std::io::Error::from)?;
                self.file.write_all(b"\n")?;
                self.counts.rows += 1;
            }
        }
        Ok(())
    }
}

impl Lister {
    /// Creates a lister of the service at an address, with the `Authorization` of its requests.
    ///
    /// # Errors
    /// The address is none, or the credentials cannot be sent.
    pub fn new(service: Service, address: &str, authorization: Option<&str>) -> Result<Self, Error> {
        let bad = || Error::Address(address.to_owned());
        let base = Url::parse(&format!("{}/", address.trim_end_matches('/'))).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() {
            return Err(bad());
        }
        let http = Http::new(authorization)?;
        Ok(Self { http, base, service })
    }

    /// Writes the manifest, one line of JSON for each video, and reports each asset without one.
    ///
    /// # Errors
    /// A request fails, a reply is no list, or the manifest cannot be written.
    pub async fn write(
        &self,
        options: &Options,
        file: &mut dyn Write,
        report: &mut dyn FnMut(&Skipped),
    ) -> Result<Counts, Error> {
        let mut output = Output {
            file,
            report,
            options,
            counts: Counts::default(),
        };
        match &self.service {
            Service::Mux => self.mux(&mut output).await?,
            Service::Cloudflare { account, prepare } => self.cloudflare(account, *prepare, &mut output).await?,
            Service::Peertube { channel, account } => {
                let list = self.peertube_list(channel.as_deref(), account.as_deref())?;
                self.peertube(list, &mut output).await?;
            }
            Service::Mediacms => self.mediacms(&mut output).await?,
        }
        output.file.flush()?;
        Ok(output.counts)
    }

    /// The address below the base, with these segments.
    fn url(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        let bad = || Error::Address(self.base.to_string());
        url.path_segments_mut()
            .map_err(|()| bad())?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    async fn page(&self, url: &Url) -> Result<Value, Error> {
        let missing = || Error::Request {
            url: shown(url),
            reason: "404 Not Found".to_owned(),
        };
        self.http.get(url).await?.ok_or_else(missing)
    }

    async fn mux(&self, output: &mut Output<'_>) -> Result<(), Error> {
        let list = self.url(&["video", "v1", "assets"])?;
        let mut cursor: Option<String> = None;
        while !output.is_full() {
            let mut url = list.clone();
            url.query_pairs_mut().append_pair("limit", "100");
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let (entries, next) = mux::page(&self.page(&url).await?).ok_or_else(|| no_list(&url))?;
            for entry in entries {
                output.add(entry)?;
            }
            if next.is_none() {
                break;
            }
            if next == cursor {
                return Err(repeated(&url));
            }
            cursor = next;
        }
        Ok(())
    }

    async fn cloudflare(&self, account: &str, prepare: bool, output: &mut Output<'_>) -> Result<(), Error> {
        let list = self.url(&["accounts", account, "stream"])?;
        let mut start: Option<String> = None;
        // The videos of the last page. The first ones of the next page are among them.
        let mut seen: HashSet<String> = HashSet::new();
        while !output.is_full() {
            let mut url = list.clone();
            url.query_pairs_mut().append_pair("asc", "true");
            if let Some(start) = &start {
                url.query_pairs_mut().append_pair("start", start);
            }
            let page = cloudflare::page(&self.page(&url).await?).ok_or_else(|| no_list(&url))?;
            let length = page.len();
            let last = page.iter().flatten().last().map(|video| video.created.clone());
            let ids = page.iter().flatten().map(|video| video.uid.clone()).collect();
            let mut has_new = false;
            for video in page {
                match video {
                    None if start.is_none() || has_new => output.add(Entry::skipped("(no id)", DAMAGED))?,
                    Some(video) if !seen.contains(&video.uid) => {
                        has_new = true;
                        if !output.is_full() {
                            output.add(self.cloudflare_entry(&list, &video, prepare).await?)?;
                        }
                    }
                    None | Some(_) => {}
                }
            }
            if !has_new && length >= CLOUDFLARE_PAGE {
                return Err(repeated(&url));
            }
            if !has_new || last.is_none() {
                break;
            }
            (seen, start) = (ids, last);
        }
        Ok(())
    }

    async fn cloudflare_entry(&self, list: &Url, video: &cloudflare::Listed, prepare: bool) -> Result<Entry, Error> {
        if let Some(obstacle) = video.obstacle {
            return Ok(Entry::skipped(&video.uid, obstacle));
        }
        let mut url = list.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend([video.uid.as_str(), "downloads"]);
        }
        let mut downloads = self.http.get(&url).await?.unwrap_or(Value::Null);
        if prepare && cloudflare::has_none(&downloads) {
            downloads = self.http.post(&url).await?.unwrap_or(Value::Null);
        }
        Ok(cloudflare::entry(video, &downloads))
    }

    fn peertube_list(&self, channel: Option<&str>, account: Option<&str>) -> Result<Url, Error> {
        let mut url = match (channel, account) {
            (Some(channel), _) => self.url(&["api", "v1", "video-channels", channel, "videos"])?,
            (None, Some(account)) => self.url(&["api", "v1", "accounts", account, "videos"])?,
            (None, None) => {
                let mut url = self.url(&["api", "v1", "videos"])?;
                // Without it, the list has the videos of other instances too.
                url.query_pairs_mut().append_pair("isLocal", "true");
                url
            }
        };
        url.query_pairs_mut().append_pair("sort", "publishedAt");
        Ok(url)
    }

    async fn peertube(&self, list: Url, output: &mut Output<'_>) -> Result<(), Error> {
        let mut start = 0;
        while !output.is_full() {
            let mut url = list.clone();
            let offset = start.to_string();
            url.query_pairs_mut()
                .extend_pairs([("count", "100"), ("start", &offset)]);
            let (ids, total) = peertube::page(&self.page(&url).await?).ok_or_else(|| no_list(&url))?;
            start += ids.len() as u64;
            let is_last = ids.is_empty() || start >= total;
            for id in ids {
                let details = async |id: &str| self.http.get(&self.url(&["api", "v1", "videos", id])?).await;
                self.detailed(id, output, details, peertube::entry).await?;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn mediacms(&self, output: &mut Output<'_>) -> Result<(), Error> {
        let mut url = self.url(&["api", "v1", "media"])?;
        while !output.is_full() {
            let (ids, next) = mediacms::page(&self.page(&url).await?).ok_or_else(|| no_list(&url))?;
            for id in ids {
                let details = async |id: &str| self.http.get(&self.url(&["api", "v1", "media", id])?).await;
                let entry = |id: &str, media: &Value| mediacms::entry(&self.base, id, media);
                self.detailed(id, output, details, entry).await?;
            }
            let Some(next) = next else { break };
            let next = url.join(&next).map_err(|_| no_list(&url))?;
            // The token goes with the request.
            if next.origin() != self.base.origin() {
                let reason = "the next page is at another address; give the address that the service has for itself";
                return Err(Error::Reply {
                    url: shown(&url),
                    reason,
                });
            }
            if next == url {
                return Err(repeated(&url));
            }
            url = next;
        }
        Ok(())
    }

    /// Adds the entry of an asset whose file is in its details.
    async fn detailed(
        &self,
        id: Option<String>,
        output: &mut Output<'_>,
        details: impl AsyncFn(&str) -> Result<Option<Value>, Error>,
        entry: impl Fn(&str, &Value) -> Entry,
    ) -> Result<(), Error> {
        let Some(id) = id else {
            return output.add(Entry::skipped("(no id)", DAMAGED));
        };
        if output.is_full() {
            return Ok(());
        }
        match details(&id).await? {
            Some(details) => output.add(entry(&id, &details)),
            None => output.add(Entry::skipped(&id, GONE)),
        }
    }
}

fn no_list(url: &Url) -> Error {
    Error::Reply {
        url: shown(url),
        reason: NO_LIST,
    }
}

fn repeated(url: &Url) -> Error {
    Error::Reply {
        url: shown(url),
        reason: "the next page is the same page again",
    }
}
