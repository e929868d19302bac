//! Accounts.

use crate::seed::database;
use domain::TaskId;
use domain::account::{Email, Username};
use entity::{task, user};

#[tokio::test]
async fn a_taken_name_and_a_taken_email_address_are_both_duplicates() {
    let (db, _directory) = database("taken").await;
    let (name, other) = (Username::parse("eva").unwrap(), Username::parse("eve").unwrap());
    let (mail, second) = (
        Email::parse("eva@example.com").unwrap(),
        Email::parse("eve@example.com").unwrap(),
    );
    let create = async |name, mail| {
        let created = entity::write(&db, async |db| user::create(db, name, mail, "h".to_owned()).await);
        created.await
    };
    create(&name, &mail).await.unwrap();
    for (name, mail) in [(&name, &second), (&other, &mail)] {
        let refused = create(name, mail).await.unwrap_err();
        assert!(entity::is_duplicate(&refused));
    }
    assert!(user::has_name(&db, &name).await.unwrap() && !user::has_name(&db, &other).await.unwrap());
    assert!(user::has_email(&db, &mail).await.unwrap() && !user::has_email(&db, &second).await.unwrap());
}

#[tokio::test]
async fn a_nul_byte_in_a_text_finds_no_row_and_is_no_error() {
    let (db, _directory) = database("zero").await;
    assert_eq!(user::find_by_username(&db, "e\0va").await.unwrap(), None);
    assert_eq!(task::by_path(&db, TaskId(1), "2026/01/31/1_\0").await.unwrap(), None);
}
