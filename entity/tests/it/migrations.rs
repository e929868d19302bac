//! Migrations on a database that processes of the previous version still use.

use crate::seed::{an_output, claimed, database, new_task, succeed};
use entity::output;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection};

/// The statement with which the previous version inserts an output.
async fn insert_with_place(db: &DatabaseConnection, task: i64, place: i32, name: &str) {
    let columns = "task_id, place, name, kind, media_type, key, bytes, sha256";
    let values = format!("{task}, {place}, '{name}', 'mp4', 'video/mp4', '{name}', 1, 'ab'");
    let insert = format!("INSERT INTO outputs ({columns}) VALUES ({values})");
    db.execute_unprepared(&insert).await.unwrap();
}

/// The names of the outputs of a task as the previous version orders them.
async fn names_by_place(db: &DatabaseConnection, task: i64) -> Vec<String> {
    let query = format!("SELECT name FROM outputs WHERE task_id = {task} ORDER BY place");
    let query = sea_orm::Statement::from_string(db.get_database_backend(), query);
    let rows = db.query_all_raw(query).await.unwrap();
    rows.iter().map(|row| row.try_get("", "name").unwrap()).collect()
}

async fn names_by_position(db: &DatabaseConnection, task: i64) -> Vec<String> {
    let outputs = output::of_task(db, task).await.unwrap();
    outputs.into_iter().map(|output| output.name).collect()
}

#[tokio::test]
async fn outputs_keep_their_order_between_this_version_and_the_one_before() {
    let (db, _directory) = database("output_positions").await;
    let (old, new) = (new_task(&db).await, new_task(&db).await);
    // Inserted against the order of ids and of names.
    insert_with_place(&db, old.id, 1, "a").await;
    insert_with_place(&db, old.id, 0, "b").await;
    let named = |name: &str| output::New {
        name: name.to_owned(),
        ..an_output(name)
    };
    let claim = claimed(&db, new.task_id()).await.claim();
    assert!(succeed(&db, claim, vec![named("d"), named("c")]).await);
    for _ in 0..2 {
        assert_eq!(names_by_position(&db, old.id).await, ["b", "a"]);
        assert_eq!(names_by_place(&db, old.id).await, ["b", "a"]);
        assert_eq!(names_by_position(&db, new.id).await, ["d", "c"]);
        assert_eq!(names_by_place(&db, new.id).await, ["d", "c"]);
        let since_positions = u32::try_from(Migrator::migrations().len()).unwrap() - 15;
        Migrator::down(&db, Some(since_positions)).await.unwrap();
        assert_eq!(names_by_place(&db, new.id).await, ["d", "c"]);
        migration::run(&db).await.unwrap();
    }
}
