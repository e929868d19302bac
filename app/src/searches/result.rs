//! The stored result of a ticket: lines of JSON, first the [`Summary`], then one line per hit.

use crate::Error;
use crate::library::{Freshness, Hit, HitPage, Library, SearchRequest};
use anyhow::Context as _;
use bytes::Bytes;
use domain::Code;
use domain::search::Correction;
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt, try_unfold};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;
use storage::{Key, Storage};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio_util::io::StreamReader;

/// Maximum number of hits of a result, the number up to which searches count exactly.
const HITS_MAX: usize = 10_000;
/// Limit of a stored result.
pub(super) const BYTES_MAX: u64 = 1 << 30;

/// Number of times that a page is tried while the catalog is busy, and the pause between two of them.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// The facts about a search, of the time when it began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Number of videos that match.
    pub total: u32,
    /// There are more than `total`.
    pub total_at_least: bool,
    /// Words that occur nowhere, and those that were searched instead.
    pub corrections: Vec<Correction>,
    /// The age of the first page.
    pub freshness: Freshness,
}

/// A stored result. Its hits are read while they are sent.
pub struct FoundHits {
    /// The facts about the search.
    pub summary: Summary,
    /// The hits, in the order of the search.
    pub hits: BoxStream<'static, Result<Hit, Error>>,
}

/// The position in a search that is computed.
enum Next {
    First(SearchRequest),
    After { request: SearchRequest, hits: usize },
    End,
}

/// All pages of a search as lines.
pub(super) fn pages(library: Library, first: SearchRequest) -> impl Stream<Item = Result<Bytes, Error>> {
    try_unfold((library, Next::First(first)), async |(library, next)| {
        let (request, before, is_first) = match next {
            Next::First(request) => (request, 0, true),
            Next::After { request, hits } => (request, hits, false),
            Next::End => return Ok(None),
        };
        let page = page(&library, &request).await?;
        let mut lines = Vec::new();
        if is_first {
            write_line(&mut lines, &summary_of(&page))?;
        }
        for hit in &page.hits {
            write_line(&mut lines, hit)?;
        }
        let hits = before + page.hits.len();
        let next = match page.next_cursor {
            Some(cursor) if hits < HITS_MAX => Next::After {
                request: SearchRequest {
                    cursor: Some(cursor),
                    ..request
                },
                hits,
            },
            _ => Next::End,
        };
        Ok(Some((Bytes::from(lines), (library, next))))
    })
}

/// A page of the search. A catalog that is busy is asked again: one page of many must not end the whole search.
async fn page(library: &Library, request: &SearchRequest) -> Result<HitPage, Error> {
    for _ in 1..TRIES {
        match library.search(request).await {
            Err(Error::Client(refusal)) if refusal.code == Code::Unavailable => tokio::time::sleep(PAUSE).await,
            page => return page,
        }
    }
    library.search(request).await
}

fn summary_of(page: &HitPage) -> Summary {
    Summary {
        total: page.total,
        total_at_least: page.total_at_least,
        corrections: page.corrections.clone(),
        freshness: page.freshness,
    }
}

fn write_line(lines: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Error> {
    serde_json::to_writer(&mut *lines, value).context("a hit cannot be written as JSON")?;
    lines.push(b'\n');
    Ok(())
}

impl FoundHits {
    /// Opens a stored result; `None` if there is none.
    pub(super) async fn open(storage: &Storage, key: &Key) -> Result<Option<Self>, Error> {
        // One request: the object may be replaced between two.
        let stream = match storage.get_range(key, 0..BYTES_MAX).await {
            Err(storage::Error::NotFound { .. }) => return Ok(None),
            stream => stream?,
        };
        let mut lines = StreamReader::new(stream.map_err(io::Error::other));
        let summary = read_line(&mut lines).await?.context("a stored result is empty")?;
        let hits = try_unfold(lines, async |mut lines| {
            let hit = read_line(&mut lines).await?;
            Ok(hit.map(|hit| (hit, lines)))
        });
        Ok(Some(Self {
            summary,
            hits: hits.boxed(),
        }))
    }
}

/// Reads a line; `None` at the end.
async fn read_line<T: for<'a> Deserialize<'a>>(lines: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<T>, Error> {
    let mut line = Vec::new();
    let read = lines.read_until(b'\n', &mut line).await;
    if read.context("a stored result cannot be read")? == 0 {
        return Ok(None);
    }
    let value = serde_json::from_slice(&line).context("a stored result is damaged")?;
    Ok(Some(value))
}
