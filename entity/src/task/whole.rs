//! A task with all that a client sees of it: for the call that every client repeats while it waits.

use super::{Column, Entity, Model};
use crate::{in_time, output, source};
use background::Background;
use domain::{TaskId, UserId};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseConnection, DbBackend, FromQueryResult, QueryOrder, QueryTrait, Statement};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a query may take: a database that does not answer must not keep those waiting who ask later.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most tasks that one query reads, as a power of two. The numbers in between are filled up to the next power, so that
/// databases see few different queries and keep them prepared.
const MOST: u32 = 6;

/// A task with all that a client sees of it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its row.
    pub task: Model,
    /// Its source.
    pub source: source::Model,
    /// Its outputs, the main one first; none until it is processed.
    pub outputs: Vec<output::Model>,
}

/// Where whole tasks are asked for. Who asks while a query runs is answered by the next one, as are all who came
/// meanwhile: a crowd that polls costs the database one query at a time, and nobody is told what was read before they
/// asked.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::UnboundedSender<Question>);

#[derive(Debug)]
struct Question {
    of: (UserId, TaskId),
    answer: oneshot::Sender<Result<Option<Whole>, DbErr>>,
}

impl Desk {
    /// Opens a desk that reads from a database; it works until the last handle on it is gone. Its loop is the background
    /// task `desk`.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn open(db: DatabaseConnection, background: Background) -> Self {
        let (to, asked) = mpsc::unbounded_channel();
        // Questions outlive a loop that panicked.
        let asked = tokio::sync::Mutex::new(asked);
        tokio::spawn(async move {
            let serve = || async {
                let (mut asked, mut crowd) = (asked.lock().await, Vec::new());
                while asked.recv_many(&mut crowd, 1 << MOST).await > 0 {
                    // In a task of its own: should it panic, only this crowd goes without an answer.
                    let _ = tokio::spawn(answer(db.clone(), std::mem::take(&mut crowd))).await;
                }
            };
            background.keep("desk", serve).await;
        });
        Self(to)
    }

    /// The task with this id and all that belongs to it, if it is this account's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn whole(&self, user: UserId, id: TaskId) -> Result<Option<Whole>, DbErr> {
        let (answer, told) = oneshot::channel();
        let of = (user, id);
        let gone = || DbErr::Custom("nobody answers at the desk".to_owned());
        self.0.send(Question { of, answer }).map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

/// Answers all who ask, of whom several may ask for the same task. Who went away meanwhile needs no answer.
async fn answer(db: DatabaseConnection, mut crowd: Vec<Question>) {
    crowd.retain(|question| !question.answer.is_closed());
    let asked: Vec<_> = crowd.iter().map(|question| question.of).collect();
    let found = in_time(PATIENCE, all(&db, &asked)).await;
    for Question { of, answer } in crowd {
        let told = found.as_ref().map(|found| found.get(&of).cloned());
        let _ = answer.send(told.map_err(Clone::clone));
    }
}

/// The tasks of these accounts with these ids, those that there are.
async fn all(db: &impl ConnectionTrait, asked: &[(UserId, TaskId)]) -> Result<HashMap<(UserId, TaskId), Whole>, DbErr> {
    let Some((first_user, first_id)) = asked.first() else {
        return Ok(HashMap::new());
    };
    let backend = db.get_database_backend();
    let power = asked.len().next_power_of_two().ilog2().min(MOST);
    let fill = |values: Vec<i64>, filler: i64| {
        let endless = values.into_iter().chain(std::iter::repeat(filler));
        endless.take(1 << power).map(Value::from)
    };
    let ids = fill(asked.iter().map(|(_, id)| id.0).collect(), first_id.0);
    let users = fill(asked.iter().map(|(user, _)| user.0).collect(), first_user.0);
    let query = Statement::from_sql_and_values(backend, sql(backend, power), ids.chain(users));
    // Each row repeats the task and its source, whose JSON is not read again for each output.
    let mut found = HashMap::new();
    for row in db.query_all_raw(query).await? {
        let key = (UserId(row.try_get("A_", "user_id")?), TaskId(row.try_get("A_", "id")?));
        let whole = match found.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Whole {
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

/// The query for two to the `power` tasks: their ids, then their accounts. Its text is made once: that takes about as
/// long as the query itself.
fn sql(backend: DbBackend, power: u32) -> &'static str {
    static TEXTS: Mutex<BTreeMap<(bool, u32), &'static str>> = Mutex::new(BTreeMap::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry((backend == DbBackend::Sqlite, power)).or_insert_with(|| {
        let places = vec![0_i64; 1 << power];
        let query = Entity::find()
            .filter(Column::Id.is_in(places.clone()))
            .filter(Column::UserId.is_in(places))
            .find_also_related(source::Entity)
            .find_also_related(output::Entity)
            .order_by_asc(output::Column::Place);
        query.build(backend).sql.leak()
    })
}
