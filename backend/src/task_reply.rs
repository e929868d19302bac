//! The reply that shows a task: its view with signed links, and its `ETag`.
//!
//! *Problem.* Clients poll a task until it is finished, and most replies would repeat the previous one. A hash of the
//! JSON tells this only after the JSON was built.
//!
//! *Mechanism.* The tag is a hash of everything that the view is made of, taken before it is built:
//!
//! - id and creation time of the task, for the columns that are written once, when the task is created;
//! - the columns that change while it exists: status, attempt, failures, progress, error, report and times;
//! - the probe of the source, the only column of a source that changes;
//! - the id of the video, which a source from before there were videos gets later;
//! - the ids of the outputs, whose rows never change; with them, what their links depend on: the key that signs them,
//!   the window in which they are equal, and the base URL;
//! - the language, and the version of the view ([`VIEW_VERSION`]), which decides about the form of the JSON.
//!
//! *Exact.* Two replies with one tag are equal, if each change of the view has raised [`VIEW_VERSION`]. [`tag`] takes
//! the rows apart column by column, so a new column must be assigned to one of these groups before the program
//! compiles. The tests change each column and compare reply and tag. View and tag use the same time, because links
//! change with it.

use crate::AppState;
use crate::extract::BaseUrl;
use crate::links::{Links, playing_time};
use crate::request_context::RequestContext;
use crate::view::{VIEW_VERSION, progress_state, task_view};
use api::tasks::TaskView;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use domain::protocol::Progress;
use domain::{Language, VideoId};
use entity::task::{self, TaskDetails, TaskStatus};
use entity::{RawJson, output, source};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::convert::Infallible;

/// The facts about a request that the view of a task depends on.
pub(crate) struct ViewContext {
    language: Language,
    base_url: BaseUrl,
}

impl FromRequestParts<AppState> for ViewContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        let Ok(request) = RequestContext::from_request_parts(parts, state).await;
        let Ok(base_url) = BaseUrl::from_request_parts(parts, state).await;
        Ok(Self {
            language: request.language,
            base_url,
        })
    }
}

/// The view of a task at this time, with new signed links to its outputs.
pub(crate) fn view(links: &Links, context: &ViewContext, task: TaskDetails, now: DateTime<Utc>) -> TaskView {
    let playing = playing_time(&task.outputs);
    let link = |task: &task::Model, output: &output::Model| {
        let path = links.path(task, output, playing, now);
        format!("{}/api/video/{path}", context.base_url.0)
    };
    task_view(task, context.language, link)
}

/// The `ETag` of [`view`] with the same arguments. Weak, because the reply may also be sent compressed.
pub(crate) fn tag(links: &Links, context: &ViewContext, details: &TaskDetails, now: DateTime<Utc>) -> String {
    let TaskDetails {
        task,
        source,
        video,
        outputs,
    } = details;
    let mut hash = FieldHash::default();
    hash.add_number(VIEW_VERSION.into());
    hash.add(context.language.tag());
    add_task(&mut hash, task);
    let source::Model {
        probe,
        id: _,
        user_id: _,
        key: _,
        bytes: _,
        sha256: _,
        created_at: _,
    } = source;
    hash.add_option(probe.as_ref().map(RawJson::text));
    hash.add_number(video.map_or(-1, |VideoId(id)| id));
    if !outputs.is_empty() {
        let (key, expires) = links.window(playing_time(outputs), now);
        hash.add(&context.base_url.0);
        hash.add(key);
        hash.add_number(expires);
    }
    for output in outputs {
        hash.add_number(output.id);
    }
    hash.into_tag(&progress_state(task))
}

fn add_task(hash: &mut FieldHash, task: &task::Model) {
    let task::Model {
        id,
        timestamp,
        status,
        attempt,
        failures,
        progress,
        error_code,
        error_detail,
        report,
        started_at,
        finished_at,
        // Written once, when the task is created.
        user_id: _,
        source_id: _,
        file_path: _,
        display_name: _,
        preset: _,
        recipe: _,
        // Not in the view.
        run_at_ms: _,
        lease_until_ms: _,
        worker_id: _,
        fingerprint: _,
        webhook_url: _,
    } = task;
    for number in [*id, timestamp.timestamp_micros(), (*attempt).into(), (*failures).into()] {
        hash.add_number(number);
    }
    hash.add(domain::Status::from(*status).as_str());
    // The view shows the progress of a running attempt only.
    if *status == TaskStatus::Processing {
        add_progress(hash, progress.as_ref());
    }
    hash.add_option(error_code.as_deref());
    hash.add_option(error_detail.as_deref());
    hash.add_option(report.as_ref().map(RawJson::text));
    for time in [started_at, finished_at] {
        hash.add_number(time.map_or(i64::MIN, |time| time.timestamp_micros()));
    }
}

fn add_progress(hash: &mut FieldHash, stored: Option<&entity::Json>) {
    let Progress {
        phase,
        percent,
        fps,
        speed,
        eta_s,
        // For the worker.
        frames: _,
        items_processed: _,
        stalled_ms: _,
    } = stored
        .and_then(|stored| Progress::deserialize(stored).ok())
        .unwrap_or_default();
    hash.add(phase.as_str());
    hash.add_number(percent.into());
    hash.add_number(fps.to_bits().into());
    hash.add_number(speed.to_bits().into());
    hash.add_number(eta_s.map_or(-1, |eta_s| i64::try_from(eta_s).unwrap_or(i64::MAX)));
}

/// A hash of a list of fields. Each field is hashed with its length, so that different lists never have the same bytes.
#[derive(Default)]
struct FieldHash(Sha256);

impl FieldHash {
    fn add(&mut self, field: &str) {
        self.add_number(i64::try_from(field.len()).unwrap_or(i64::MAX));
        self.0.update(field);
    }

    /// Adds a field that may be absent. No length is negative.
    fn add_option(&mut self, field: Option<&str>) {
        match field {
            Some(field) => self.add(field),
            None => self.add_number(-1),
        }
    }

    fn add_number(&mut self, number: i64) {
        self.0.update(number.to_be_bytes());
    }

    /// The tag, which ends in a state that [`crate::etag::known_states`] reads.
    fn into_tag(self, state: &str) -> String {
        let digest = hex::encode(self.0.finalize());
        format!("W/\"{}-{state}\"", digest.get(..32).unwrap_or(&digest))
    }
}

#[cfg(test)]
mod tests;
