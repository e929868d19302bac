//! Copies the rows of a manifest into the database.
//!
//! A thread reads the file and checks its rows ([`read_all`]); it is at most [`AHEAD`] batches ahead of the database.
//! Each batch is one transaction with the position behind it, so after a kill another worker goes on there.

use super::due::{DueImport, Failure, file_gone};
use super::sheet::Sheet;
use crate::app::Core;
use crate::{Error, Refusal};
use anyhow::Context as _;
use domain::manifest::{Kind, RowError, RowStatus};
use domain::{Code, has_nul_field};
use entity::import::Checkpoint;
use entity::import_row::{self, Lookup, State};
use entity::{Json, video};
use futures::TryStreamExt;
use manifest::{Limits, Position, Reader, Record};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use storage::Key;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::interval;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

/// Rows of one transaction.
const BATCH_ROWS: usize = 2_000;
/// Bytes of rows after which a batch ends early, so that large rows need no more memory than small ones.
const BATCH_BYTES: usize = 4 << 20;
/// Interval in which the lease is renewed while no rows arrive.
const RENEW_EVERY: Duration = Duration::from_secs(8);
/// Batches that were read and are not stored yet.
const AHEAD: usize = 1;
/// Time after which a step ends, so that a large file does not hold up other imports.
const STEP: Duration = Duration::from_secs(10);
/// A step takes at least this many times as long as it takes until the first row is stored: a packed file is unpacked
/// from its beginning in each step.
const AFTER_FIRST: u32 = 4;

/// A message of the thread that reads the file.
enum Parsed {
    Layout(manifest::Layout),
    Batch(Batch),
    End(Result<(), manifest::Error>),
}

/// Rows of one transaction.
struct Batch {
    rows: Vec<import_row::Model>,
    /// The position behind the last row.
    end: Position,
}

/// Reads the file from the position that was recorded, to its end or until the step is over.
pub(super) async fn run(app: &Core, due: &DueImport, stop: &CancellationToken) -> Result<(), Failure> {
    let sheet = Sheet::of(&due.import)?;
    let mut parsed = open(app, due, sheet.clone()).await?;
    // A packed file is unpacked from its beginning, which may take longer than a lease.
    let mut renewal = interval(RENEW_EVERY);
    let begun = Instant::now();
    let mut step = None;
    loop {
        let message = tokio::select! {
            message = parsed.recv() => message,
            () = stop.cancelled() => return Err(Failure::Stopped),
            _ = renewal.tick() => {
                let renewed = app.with_timeout(due.lease.renew(&app.db)).await?;
                renewed.then_some(()).ok_or(Failure::Lost)?;
                continue;
            }
        };
        let Some(message) = message else { break };
        match message {
            Parsed::Layout(layout) => {
                if let manifest::Format::Csv { columns, .. } = &layout.format {
                    sheet.check_header(columns).map_err(Failure::File)?;
                }
                let layout = serde_json::to_value(&layout).context("failed to serialize a layout")?;
                let begun = app.with_timeout(due.lease.begin(&app.db, layout));
                begun.await?.then_some(()).ok_or(Failure::Lost)?;
            }
            Parsed::Batch(batch) => {
                store(app, due, &sheet, batch).await?;
                let step = step.get_or_insert_with(|| STEP.max(begun.elapsed() * AFTER_FIRST));
                if begun.elapsed() >= *step {
                    return Ok(());
                }
            }
            Parsed::End(Ok(())) => return write(app, due, None, Vec::new()).await,
            Parsed::End(Err(error)) => return Err(failure(error)),
        }
    }
    Err(anyhow::anyhow!("the thread that reads a manifest has ended").into())
}

/// Opens the file at the recorded position, and starts the thread that reads it.
async fn open(app: &Core, due: &DueImport, sheet: Sheet) -> Result<mpsc::Receiver<Parsed>, Failure> {
    let import = &due.import;
    let key: Key = import.key.parse().context("an import has an invalid key")?;
    let packed = app.storage.head(&key).await?.ok_or_else(file_gone)?;
    let layout = import.layout.clone().map(serde_json::from_value::<manifest::Layout>);
    let layout = layout.transpose().context("failed to parse a stored layout")?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
    let at = Position {
        byte: unsigned(import.byte),
        line: unsigned(import.line),
        row: unsigned(import.rows_read),
    };
    let is_plain = layout.as_ref().is_some_and(manifest::Layout::is_plain);
    let first = if is_plain { at.byte } else { 0 };
    let bytes = app.storage.get_range(&key, first..packed).await?;
    let bytes = StreamReader::new(bytes.map_err(std::io::Error::other));
    // `SyncIoBridge` needs a reader that is `Unpin`.
    let input = SyncIoBridge::new(Box::pin(bytes));
    let limits = Limits {
        record_bytes: Limits::default().record_bytes.max(sheet.max_row_bytes()),
        ..Limits::default()
    };
    let (send, parsed) = mpsc::channel(AHEAD);
    spawn_blocking(move || {
        let reader = match layout {
            // Without a row, the head is read again: it is part of the first position.
            Some(layout) if at.row > 0 => Reader::resume(input, packed, layout, at, limits),
            _ => Reader::open(input, packed, limits),
        };
        let ended = reader.and_then(|reader| read_all(reader, &sheet, &send));
        // Fails only when nothing waits for the rows any more.
        let _ = send.blocking_send(Parsed::End(ended));
    });
    Ok(parsed)
}

/// Reads and checks all rows.
fn read_all(mut reader: Reader, sheet: &Sheet, send: &mpsc::Sender<Parsed>) -> Result<(), manifest::Error> {
    if send.blocking_send(Parsed::Layout(reader.layout().clone())).is_err() {
        return Ok(());
    }
    let (mut rows, mut bytes) = (Vec::new(), 0);
    loop {
        let begin = reader.position().byte;
        let record = reader.next();
        let end = reader.position();
        let ended = match record {
            Ok(Some(record)) => {
                let length = end.byte.saturating_sub(begin);
                rows.push(checked(sheet, record, length));
                bytes += usize::try_from(length).unwrap_or(usize::MAX);
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        if rows.len() >= BATCH_ROWS || bytes >= BATCH_BYTES || (ended.is_some() && !rows.is_empty()) {
            let rows = std::mem::take(&mut rows);
            bytes = 0;
            if send.blocking_send(Parsed::Batch(Batch { rows, end })).is_err() {
                return Ok(());
            }
        }
        if let Some(ended) = ended {
            return ended;
        }
    }
}

/// A row of `bytes` bytes as it is stored: pending, or with its error.
fn checked(sheet: &Sheet, record: Record, bytes: u64) -> import_row::Model {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut row = import_row::Model {
        import_id: sheet.import,
        row: signed(record.row),
        byte: signed(record.byte),
        line: signed(record.line),
        row_key: None,
        status: State::Pending,
        field: None,
        code: None,
        detail: None,
        fields: None,
        upload_id: None,
        task_id: None,
        video_id: None,
        duplicate_of: None,
        point: None,
        lookup: None,
        lookup_result: None,
        lookup_error: None,
    };
    let fields = match record.content {
        Ok(fields) => fields.into_object(),
        Err(error) => {
            set_error(&mut row, unreadable(&error));
            return row;
        }
    };
    if has_nul_field(&fields) {
        let detail = "a NUL character; accepted: none";
        set_error(&mut row, RowError::new("", Code::RowInvalid, detail));
        return row;
    }
    if bytes > sheet.max_row_bytes() as u64 {
        let detail = format!("{bytes} bytes; accepted: up to {}", sheet.max_row_bytes());
        set_error(&mut row, RowError::new("", Code::RowTooLarge, &detail));
        return row;
    }
    match sheet.check(&fields) {
        Ok(checked) => {
            row.row_key = checked.key.map(|key| hex::encode(Sha256::digest(key)));
            row.point = checked.point.map(|point| point.to_string());
            row.lookup = row.point.is_some().then_some(Lookup::Waiting);
        }
        Err(error) => set_error(&mut row, error),
    }
    row.fields = Some(Json::Object(fields));
    row
}

fn set_error(row: &mut import_row::Model, error: RowError) {
    row.status = State::Error;
    row.field = Some(error.field).filter(|field| !field.is_empty());
    row.code = Some(error.code.as_str().to_owned());
    row.detail = Some(error.detail);
}

/// Ends a row that repeats another one, or a video.
fn set_duplicate(row: &mut import_row::Model) {
    row.status = State::Duplicate;
    (row.point, row.lookup) = (None, None);
}

/// The error of a row that could not be read.
fn unreadable(error: &manifest::RecordError) -> RowError {
    use manifest::RecordError as E;
    let code = match error {
        E::NotUtf8 { .. } => Code::RowNotUtf8,
        E::ColumnCount { .. } => Code::ColumnCount,
        E::TooLarge { .. } => Code::RowTooLarge,
        E::Json { .. } => Code::RowInvalid,
    };
    RowError {
        field: String::new(),
        code,
        detail: error.to_string().replace(char::is_control, "\u{fffd}"),
    }
}

/// The failure of an import by the error of its file.
fn failure(error: manifest::Error) -> Failure {
    use manifest::Error as E;
    let code = match &error {
        E::Empty => Code::ManifestEmpty,
        E::ColumnRepeated { .. } => Code::ColumnRepeated,
        E::ColumnUnnamed { .. } => Code::ColumnUnnamed,
        E::TooManyColumns { .. } => Code::ColumnsTooMany,
        E::Unreadable { .. } => Code::ManifestUnreadable,
        E::QuoteUnclosed { .. } => Code::QuoteUnclosed,
        E::TooManyRows { .. } => Code::TooManyRows,
        E::UnpackedTooLarge { .. } => Code::UnpackedTooLarge,
        E::ArchiveDamaged { .. } => Code::ArchiveDamaged,
        E::Read(_) => return Failure::Ours(Error::Internal(anyhow::Error::new(error))),
    };
    Failure::File(Refusal::new(code).detail(error.to_string().replace(char::is_control, "\u{fffd}")))
}

/// Stores a batch with the position behind it.
async fn store(app: &Core, due: &DueImport, sheet: &Sheet, batch: Batch) -> Result<(), Failure> {
    let mut rows = batch.rows;
    let repeated = app.with_timeout(Box::pin(repeated(app, due, &rows))).await?;
    for index in 0..rows.len() {
        let conflict = conflict(app, sheet, &repeated, &rows, index).await?;
        let Some(row) = rows.get_mut(index) else { break };
        match row.row_key.as_deref().and_then(|key| repeated.rows.get(key)) {
            Some(first) if *first != row.row => {
                row.row_key = None;
                match conflict {
                    Some(error) => set_error(row, error),
                    None => {
                        set_duplicate(row);
                        row.duplicate_of = Some(*first);
                    }
                }
            }
            _ => {}
        }
        let external_id = row.fields.as_ref().and_then(external_id);
        if row.status == State::Pending
            && let Some(video) = external_id.and_then(|id| repeated.videos.get(&id))
        {
            set_duplicate(row);
            row.video_id = Some(*video);
        }
    }
    let at = Checkpoint {
        byte: batch.end.byte,
        line: batch.end.line,
        rows_read: batch.end.row,
    };
    write(app, due, Some(at), rows).await
}

/// Stores rows and how far the file was read, in one transaction.
async fn write(
    app: &Core,
    due: &DueImport,
    at: Option<Checkpoint>,
    rows: Vec<import_row::Model>,
) -> Result<(), Failure> {
    let count = |state: State| rows.iter().filter(|row| row.status == state).count() as u64;
    let states = [State::Pending, State::Duplicate, State::Error];
    let counts = states.map(|state| (RowStatus::from(state), count(state)));
    let written = entity::write(&app.db, async |db| {
        let is_held = due.lease.stage(db, at, &counts).await?;
        if is_held {
            import_row::insert(db, rows).await?;
        }
        Ok::<_, Error>(is_held)
    });
    app.with_timeout(written).await?.then_some(()).ok_or(Failure::Lost)
}

/// Rows and videos that rows of a batch repeat.
#[derive(Default)]
struct Repeated {
    /// The first row with each key of the batch.
    rows: HashMap<String, i64>,
    /// The videos of the account with the external ids of the batch. Only for `kind=videos`.
    videos: HashMap<String, i64>,
}

async fn repeated(app: &Core, due: &DueImport, rows: &[import_row::Model]) -> Result<Repeated, Error> {
    let mut found = Repeated::default();
    let keys: Vec<&str> = rows.iter().filter_map(|row| row.row_key.as_deref()).collect();
    if keys.is_empty() {
        return Ok(found);
    }
    found.rows = import_row::with_keys(&app.db, due.import.id, &keys)
        .await?
        .into_iter()
        .collect();
    for row in rows {
        if let Some(key) = &row.row_key {
            found.rows.entry(key.clone()).or_insert(row.row);
        }
    }
    if due.import.kind == Kind::Videos.to_string() {
        let ids: Vec<String> = rows
            .iter()
            .filter_map(|row| row.fields.as_ref().and_then(external_id))
            .collect();
        let videos = video::with_external_ids(&app.db, due.import.owner(), &ids).await?;
        found.videos = videos.into_iter().collect();
    }
    Ok(found)
}

/// The error of a row of a dataset that has the id of an earlier row, but other values. Earlier rows are read one at a
/// time: a geometry may have megabytes.
async fn conflict(
    app: &Core,
    sheet: &Sheet,
    repeated: &Repeated,
    rows: &[import_row::Model],
    index: usize,
) -> Result<Option<RowError>, Error> {
    let Some(row) = rows.get(index).filter(|_| sheet.has_ids()) else {
        return Ok(None);
    };
    let first = row.row_key.as_deref().and_then(|key| repeated.rows.get(key));
    let Some(first) = first.copied().filter(|first| *first != row.row) else {
        return Ok(None);
    };
    let in_batch = rows.iter().find(|row| row.row == first);
    let stored = match in_batch {
        Some(_) => None,
        None => app.with_timeout(import_row::find(&app.db, sheet.import, first)).await?,
    };
    let values = |row: Option<&import_row::Model>| Some(row?.fields.as_ref()?.as_object()?.clone());
    Ok(match (values(in_batch.or(stored.as_ref())), values(Some(row))) {
        (Some(one), Some(other)) => sheet.conflict(first, [&one, &other]),
        _ => None,
    })
}

/// The external id of a row, as it is stored with a video.
fn external_id(fields: &Json) -> Option<String> {
    let text = match fields.get("external_id")? {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    domain::video::word(&text).ok()
}
