//! The rows of an import as one file, in the order of the manifest.

use super::Pairs;
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::Owned;
use crate::openapi::problems;
use crate::routes::parameters::{invalid_parameter, parameter};
use crate::spreadsheet::harmless;
use app::imports;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use csv::{Terminator, WriterBuilder};
use entity::import_row::{Filter, Lookup, State as RowState};
use entity::{Json, import, import_row};
use futures::stream;

/// Rows that are read at once.
const PAGE: u64 = 200;
/// The columns behind those of the manifest.
const OUTCOME: [&str; 13] = [
    "row",
    "line",
    "byte",
    "status",
    "field",
    "code",
    "detail",
    "task_id",
    "video_id",
    "duplicate_of",
    "lookup",
    "lookup_result",
    "lookup_error",
];

problems!(ResultProblems: QueryInvalid, TokenMissing, TokenInvalid, TokenExpired, ImportNotFound, ImportRowsExpired, Unavailable);

/// Downloads the rows of an import.
///
/// In the order of the manifest, each with its values and what has become of it: JSON Lines, or CSV with the header
/// `Accept: text/csv`. With `only=errors`, the file has the values of the rows with errors alone: correct them, and
/// send it
/// as a new manifest. CSV of a manifest in JSON Lines has the values in the column `fields`. Texts of the table that a
/// spreadsheet would take for a formula begin with an apostrophe.
#[utoipa::path(get, operation_id = "download_import_result", path = "/imports/{id}/result", tag = "imports", params(("id" = i64, Path, description = "The id of the import"),
        ("only" = Option<String>, Query, pattern = "^errors$", description = "`errors`: only rows with errors, without what has become of them")),
    security(("bearer" = [])),
    responses((status = 200, description = "The rows", content(("application/x-ndjson"), ("text/csv"))), ResultProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    Owned(import): Owned<import::Model>,
    headers: HeaderMap,
    Query(query): Pairs,
) -> Result<Response, Error> {
    let only_errors = only_errors(&query)?;
    let sheet = Sheet::new(&import, wants_csv(&headers), only_errors);
    let (name, media_type) = if sheet.is_csv {
        ("csv", "text/csv; charset=utf-8; header=present")
    } else {
        ("jsonl", "application/x-ndjson")
    };
    let disposition = format!("attachment; filename=\"import-{}.{name}\"", import.id);
    let disposition = HeaderValue::try_from(disposition).map_err(anyhow::Error::from)?;
    let filter = Filter {
        state: only_errors.then_some(RowState::Error),
        code: None,
    };
    // The first page is read before the reply begins, so that an error of the database is a reply.
    let first = imports::rows(&state.app, &import, &filter, 0, PAGE).await?;
    let pages = stream::try_unfold(Some((first, true)), move |page| {
        let (state, import, filter, sheet) = (state.clone(), import.clone(), filter.clone(), sheet.clone());
        async move {
            let Some((rows, is_first)) = page else { return Ok(None) };
            let text = sheet.page(&rows, is_first);
            let next = match rows.last() {
                Some(last) => {
                    let next = next_page(&state, &import, &filter, last.row).await;
                    Some(next.map_err(|error| std::io::Error::other(format!("{error:?}")))?)
                }
                None => None,
            };
            let next = next.filter(|rows| !rows.is_empty()).map(|rows| (rows, false));
            Ok::<_, std::io::Error>(Some((text, next)))
        }
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// The rows after a row. The end is an error if rows have been removed since the reply began: it would not be whole.
async fn next_page(
    state: &AppState,
    import: &import::Model,
    filter: &Filter,
    after: i64,
) -> Result<Vec<import_row::Model>, app::Error> {
    let rows = imports::rows(&state.app, import, filter, after, PAGE).await?;
    if rows.is_empty() && imports::show(&state.app, import.owner(), import.id).await?.is_expired {
        return Err(domain::Code::ImportRowsExpired.into());
    }
    Ok(rows)
}

fn only_errors(query: &[(String, String)]) -> Result<bool, Refusal> {
    match parameter(query, "only")? {
        None => Ok(false),
        Some("errors") => Ok(true),
        Some(other) => Err(invalid_parameter("only", other, "errors")),
    }
}

/// Returns `true` if the client prefers CSV: it names it, and JSON Lines not before.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let at = |name| accepted.find(name).unwrap_or(usize::MAX);
    at("text/csv") < at("application/x-ndjson")
}

/// The form of the rows.
#[derive(Clone)]
struct Sheet {
    is_csv: bool,
    only_values: bool,
    /// The columns of a CSV manifest.
    columns: Option<Vec<String>>,
}

impl Sheet {
    fn new(import: &import::Model, is_csv: bool, only_values: bool) -> Self {
        let columns = import.layout.as_ref().and_then(imports::columns);
        Self {
            // A manifest in JSON Lines has no columns, so a new manifest of its rows is not CSV.
            is_csv: is_csv && (columns.is_some() || !only_values),
            only_values,
            columns,
        }
    }

    fn page(&self, rows: &[import_row::Model], is_first: bool) -> Bytes {
        if self.is_csv {
            return self.table(rows, is_first).unwrap_or_default().into();
        }
        let mut text = Vec::new();
        for row in self.shown(rows) {
            let line = if self.only_values {
                row.fields.clone().unwrap_or_default().to_string()
            } else {
                serde_json::to_string(&super::row_view(row.clone())).unwrap_or_default()
            };
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        text.into()
    }

    /// The rows to write: a row that could not be read has no values.
    fn shown<'a>(&self, rows: &'a [import_row::Model]) -> impl Iterator<Item = &'a import_row::Model> {
        let only_values = self.only_values;
        rows.iter().filter(move |row| !only_values || row.fields.is_some())
    }

    /// The rows as CSV. Writing into memory does not fail.
    fn table(&self, rows: &[import_row::Model], with_header: bool) -> Result<Vec<u8>, csv::Error> {
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(Vec::new());
        if with_header {
            let columns = self.columns.iter().flatten().map(String::as_str);
            let fields = self.columns.is_none().then_some("fields");
            let outcome = OUTCOME.iter().copied().filter(|_| !self.only_values);
            writer.write_record(columns.chain(fields).chain(outcome))?;
        }
        for row in self.shown(rows) {
            writer.write_record(self.cells(row))?;
        }
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    }

    fn cells(&self, row: &import_row::Model) -> Vec<String> {
        let value = |name: &str| match row.fields.as_ref().and_then(|fields| fields.get(name)) {
            Some(Json::String(text)) => text.clone(),
            Some(Json::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let mut cells: Vec<String> = match &self.columns {
            Some(columns) => columns.iter().map(|column| value(column)).collect(),
            None => vec![row.fields.as_ref().map(Json::to_string).unwrap_or_default()],
        };
        if self.only_values {
            // Exact, because they are the values of a new manifest.
            return cells;
        }
        for cell in &mut cells {
            *cell = harmless(cell).into_owned();
        }
        let number = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
        let status = domain::manifest::RowStatus::from(row.status);
        cells.extend([
            row.row.to_string(),
            row.line.to_string(),
            row.byte.to_string(),
            status.to_string(),
            row.field.clone().unwrap_or_default(),
            row.code.clone().unwrap_or_default(),
            harmless(row.detail.as_deref().unwrap_or_default()).into_owned(),
            number(row.task_id),
            number(row.video_id),
            number(row.duplicate_of),
            Lookup::status(row.lookup).as_str().to_owned(),
            row.lookup_result.as_ref().map(Json::to_string).unwrap_or_default(),
            row.lookup_error.clone().unwrap_or_default(),
        ]);
        cells
    }
}
