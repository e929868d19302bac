//! Replies as JSON or CSV, which are built only if the client does not know them.

use crate::error::Error;
use crate::etag::unless_known;
use crate::spreadsheet::harmless;
use api::analytics::{BreakdownValue, BreakdownView, SeriesValue, SeriesView, SpanView, TotalView};
use app::analytics::{Breakdown, Series, Source, Total};
use axum::Json;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};
use sha2::{Digest, Sha256};

/// The form of a reply, and its tag.
pub(super) struct Form {
    headers: HeaderMap,
    etag: String,
    is_csv: bool,
}

impl Form {
    /// The form that a client asks for. The tag is that of the loaded versions and of the query, so it is known without
    /// the reply.
    pub(super) fn of(headers: &HeaderMap, source: &Source, query: &str) -> Self {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let accepted = accepted.unwrap_or_default();
        let at = |name| accepted.find(name).unwrap_or(usize::MAX);
        let is_csv = at("text/csv") < at("application/json");
        let text = format!("{:?} {:?} {is_csv} {query}", source.facts, source.regions);
        let digest = hex::encode(Sha256::digest(text));
        Self {
            headers: headers.clone(),
            etag: format!("W/\"{}\"", digest.get(..32).unwrap_or(&digest)),
            is_csv,
        }
    }

    /// Answers 304 if the client knows the reply, else builds it.
    pub(super) async fn unless_known(
        self,
        reply: impl AsyncFnOnce() -> Result<Reply, Error>,
    ) -> Result<Response, Error> {
        let is_csv = self.is_csv;
        self.answer(async || reply().await?.response(is_csv)).await
    }

    /// Answers 304 if the client knows the reply, else builds it in its only form.
    pub(super) async fn answer(&self, reply: impl AsyncFnOnce() -> Result<Response, Error>) -> Result<Response, Error> {
        let mut response = unless_known(&self.headers, &self.etag, reply).await?;
        response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }
}

/// A reply.
pub(super) enum Reply {
    Total(TotalView),
    Series(SeriesView),
    Breakdown(BreakdownView),
}

impl Reply {
    pub(super) fn total(total: Total) -> Self {
        Self::Total(TotalView {
            metric: total.metric,
            total: total.total.value,
            n: total.total.n,
            range: total.span.map(|(first, last)| SpanView {
                first: time(first),
                last: time(last),
            }),
        })
    }

    pub(super) fn series(series: Series, is_split: bool) -> Self {
        let values = series.values.into_iter().map(|(start, word, value)| SeriesValue {
            start: time(start),
            by: is_split.then_some(word),
            value: value.value,
            n: value.n,
        });
        Self::Series(SeriesView {
            metric: series.metric,
            bucket: series.bucket,
            data: values.collect(),
            next_cursor: None,
        })
    }

    pub(super) fn breakdown(values: Breakdown, dimension: &str, cross: Option<&str>) -> Self {
        let data = values.values.into_iter().map(|(key, other, value)| BreakdownValue {
            key,
            cross: cross.map(|_| other),
            value: value.value,
            n: value.n,
        });
        Self::Breakdown(BreakdownView {
            metric: values.metric,
            dimension: dimension.to_owned(),
            cross: cross.map(str::to_owned),
            data: data.collect(),
            next_cursor: None,
        })
    }

    fn response(self, is_csv: bool) -> Result<Response, Error> {
        if is_csv {
            let table = self.table().map_err(anyhow::Error::from)?;
            return Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], table).into_response());
        }
        Ok(match self {
            Self::Total(view) => Json(view).into_response(),
            Self::Series(view) => Json(view).into_response(),
            Self::Breakdown(view) => Json(view).into_response(),
        })
    }

    /// The reply as CSV (RFC 4180). The names of the columns are those of the JSON.
    fn table(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(Vec::new());
        match self {
            Self::Total(view) => {
                writer.write_record(["metric", "total", "n"])?;
                writer.write_record([&view.metric, &view.total.to_string(), &view.n.to_string()])?;
            }
            Self::Series(view) => {
                writer.write_record(["start", "by", view.metric.as_str(), "n"])?;
                for value in &view.data {
                    let start = value.start.to_rfc3339_opts(SecondsFormat::Secs, true);
                    let by = harmless(value.by.as_deref().unwrap_or_default());
                    writer.write_record([&start, &*by, &value.value.to_string(), &value.n.to_string()])?;
                }
            }
            Self::Breakdown(view) => {
                let cross = view.cross.as_deref().unwrap_or("cross");
                writer.write_record([view.dimension.as_str(), cross, view.metric.as_str(), "n"])?;
                for value in &view.data {
                    let words = [
                        harmless(&value.key),
                        harmless(value.cross.as_deref().unwrap_or_default()),
                    ];
                    writer.write_record([&*words[0], &*words[1], &value.value.to_string(), &value.n.to_string()])?;
                }
            }
        }
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    }
}

fn time(at_s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at_s, 0).unwrap_or_default()
}
