//! A task with its source and outputs, for the request that clients repeat while they wait for a task.
//!
//! *Problem.* Every waiting client polls its task. One query per request would occupy all database connections.
//!
//! *Mechanism.* Requests go to one background task, which runs one query at a time. While a query runs, further
//! requests queue up, and the next query answers all of them. A request is never answered by a query that started
//! before it, so a client that has just changed its task sees the change.
//!
//! *Rejected.* A cache with an expiry time: it would answer with data from before the request.

use super::{Column, Entity, Model};
use crate::{output, source, with_timeout};
use background::Background;
use domain::{TaskId, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseConnection, DbBackend, FromQueryResult, QueryOrder, QueryTrait, Statement};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Limit of one query. Requests that queue up behind it must not wait for a database that does not reply.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Base-2 logarithm of the maximum number of tasks in one query. The number of parameters is rounded up to a power of
/// two, so that there are few different SQL texts and databases keep them prepared.
const MAX_BATCH_LOG2: u32 = 6;

/// A task with everything that a client sees of it.
#[derive(Clone, Debug)]
pub struct TaskDetails {
    /// The row of the task.
    pub task: Model,
    /// Its source.
    pub source: source::Model,
    /// Its outputs, the main one first; empty until the task is processed.
    pub outputs: Vec<output::Model>,
}

/// A task and the account that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: UserId,
    task: TaskId,
}

/// One waiting request.
#[derive(Debug)]
struct Request {
    key: Key,
    reply: oneshot::Sender<Result<Option<TaskDetails>, DbErr>>,
}

/// Loads tasks in batches; see the module documentation. Clones share one background task.
#[derive(Clone, Debug)]
pub struct TaskLoader(mpsc::UnboundedSender<Request>);

impl TaskLoader {
    /// Starts the loader as the background task `task-loader`. It ends when the last clone of the handle is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(db: DatabaseConnection, background: Background) -> Self {
        let (sender, requests) = mpsc::unbounded_channel();
        // Owned outside of the loop, so that waiting requests survive when the loop panics and is restarted.
        let requests = tokio::sync::Mutex::new(requests);
        tokio::spawn(async move {
            let run = || async {
                let (mut requests, mut batch) = (requests.lock().await, Vec::new());
                while requests.recv_many(&mut batch, 1 << MAX_BATCH_LOG2).await > 0 {
                    // In a Tokio task of its own: a panic fails the requests of this batch only.
                    let _ = tokio::spawn(reply_to(std::mem::take(&mut batch), db.clone())).await;
                }
            };
            background.supervise("task-loader", run).await;
        });
        Self(sender)
    }

    /// The task with this id, its source and its outputs, if it belongs to the account.
    ///
    /// # Errors
    /// Any database error.
    pub async fn load(&self, user: UserId, id: TaskId) -> Result<Option<TaskDetails>, DbErr> {
        let (reply, replied) = oneshot::channel();
        let key = Key { user, task: id };
        let gone = || DbErr::Custom("the task loader ended without a reply".to_owned());
        self.0.send(Request { key, reply }).map_err(|_| gone())?;
        replied.await.map_err(|_| gone())?
    }
}

/// Answers a batch of requests, several of which may be for the same task.
async fn reply_to(mut batch: Vec<Request>, db: DatabaseConnection) {
    // Requests of clients that have disconnected.
    batch.retain(|request| !request.reply.is_closed());
    let keys: Vec<_> = batch.iter().map(|request| request.key).collect();
    let found = with_timeout(QUERY_TIMEOUT, load_batch(&db, &keys)).await;
    for Request { key, reply } in batch {
        let result = found.as_ref().map(|found| found.get(&key).cloned());
        let _ = reply.send(result.map_err(Clone::clone));
    }
}

/// Loads the tasks that exist and belong to the account of their key.
async fn load_batch(db: &impl ConnectionTrait, keys: &[Key]) -> Result<HashMap<Key, TaskDetails>, DbErr> {
    let Some(first) = keys.first() else {
        return Ok(HashMap::new());
    };
    let backend = db.get_database_backend();
    let log2 = keys.len().next_power_of_two().ilog2().min(MAX_BATCH_LOG2);
    let pad = |values: Vec<i64>, filler: i64| {
        let endless = values.into_iter().chain(std::iter::repeat(filler));
        endless.take(1 << log2).map(Value::from)
    };
    let ids = pad(keys.iter().map(|key| key.task.0).collect(), first.task.0);
    let users = pad(keys.iter().map(|key| key.user.0).collect(), first.user.0);
    let query = Statement::from_sql_and_values(backend, sql(backend, log2), ids.chain(users));
    let mut found = HashMap::new();
    for row in db.query_all_raw(query).await? {
        let user = UserId(row.try_get("A_", "user_id")?);
        let task = TaskId(row.try_get("A_", "id")?);
        // The join repeats task and source for each output; their JSON is parsed once.
        let whole = match found.entry(Key { user, task }) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(TaskDetails {
                task: Model::from_query_result(&row, "A_")?,
                source: source::Model::from_query_result(&row, "B_")?,
                outputs: Vec::new(),
            }),
        };
        whole
            .outputs
            .extend(output::Model::from_query_result_optional(&row, "C_")?);
    }
    Ok(found)
}

/// The SQL for `2^log2` tasks; the parameters are the ids of the tasks, then those of the accounts. The text is built
/// once, because building it takes about as long as the query.
fn sql(backend: DbBackend, log2: u32) -> &'static str {
    static TEXTS: Mutex<BTreeMap<(bool, u32), &'static str>> = Mutex::new(BTreeMap::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry((backend == DbBackend::Sqlite, log2)).or_insert_with(|| {
        // The query matches every combination of a task and an account of the batch. `TaskLoader::load` picks by both.
        let parameters = vec![0_i64; 1 << log2];
        let query = Entity::find()
            .filter(Column::Id.is_in(parameters.clone()))
            .filter(Column::UserId.is_in(parameters))
            .find_also_related(source::Entity)
            .find_also_related(output::Entity)
            .order_by_asc(output::Column::Position);
        query.build(backend).sql.leak()
    })
}
