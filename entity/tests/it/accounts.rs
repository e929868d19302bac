//! Accounts.

use crate::seed::database;
use domain::Code;
use domain::account::{Email, Username};
use entity::user;

#[tokio::test]
async fn a_taken_name_and_a_taken_address_are_told_apart() {
    let (db, _directory) = database("taken").await;
    let (name, other) = (Username::parse("eva").unwrap(), Username::parse("eve").unwrap());
    let (mail, second) = (
        Email::parse("eva@example.com").unwrap(),
        Email::parse("eve@example.com").unwrap(),
    );
    user::create(&db, &name, &mail, "h".to_owned()).await.unwrap();
    let code = async |name, mail| user::taken(&user::create(&db, name, mail, "h".to_owned()).await.unwrap_err());
    assert_eq!(code(&name, &second).await, Some(Code::UsernameTaken));
    assert_eq!(code(&other, &mail).await, Some(Code::EmailTaken));
    assert_eq!(
        user::conflict(&db, &other, &mail).await.unwrap(),
        Some(Code::EmailTaken)
    );
}
