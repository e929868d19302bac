//! The tokenizer of `domain` against that of SQLite.

use domain::folding::words;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use std::collections::BTreeMap;

/// The words that SQLite finds in texts, by the index of the text.
async fn indexed(texts: &[String]) -> BTreeMap<usize, Vec<String>> {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let tables = "CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2');
        CREATE VIRTUAL TABLE found USING fts5vocab(texts, instance)";
    sqlx::raw_sql(tables).execute(&mut connection).await.unwrap();
    for (first, part) in texts.chunks(10_000).enumerate() {
        let mut sql = sqlx::QueryBuilder::<sqlx::Sqlite>::new("INSERT INTO texts(rowid, text) ");
        sql.push_values(part.iter().enumerate(), |mut row, (index, text)| {
            row.push_bind(i64::try_from(first * 10_000 + index + 1).unwrap())
                .push_bind(text.clone());
        });
        sql.build().execute(&mut connection).await.unwrap();
    }
    let rows = sqlx::query("SELECT doc, \"offset\", term FROM found")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mut words: BTreeMap<usize, Vec<(i64, String)>> = BTreeMap::new();
    for row in rows {
        let index = usize::try_from(row.get::<i64, _>(0)).unwrap() - 1;
        words.entry(index).or_default().push((row.get(1), row.get(2)));
    }
    let sorted = words.into_iter().map(|(index, mut words)| {
        words.sort();
        (index, words.into_iter().map(|(_, word)| word).collect())
    });
    sorted.collect()
}

#[tokio::test]
async fn code_points_are_folded_as_sqlite_folds_them() {
    // All of the planes with letters and marks; samples of the ideographs and the private use beyond.
    let codes = (1..0x0002_0000)
        .chain((0x0002_0000..=0x0010_FFFF).step_by(61))
        .chain(0x000E_0000..0x000E_0200);
    let letters = codes.filter_map(char::from_u32);
    // Alone, after a letter, and before one: marks belong to the word before them.
    let texts: Vec<String> = letters.map(|letter| format!("{letter} a{letter}b")).collect();
    let found = indexed(&texts).await;
    for (index, text) in texts.iter().enumerate() {
        let expected = found.get(&index).cloned().unwrap_or_default();
        let ours: Vec<String> = words(text).collect();
        assert_eq!(
            ours,
            expected,
            "{text:?} {:#x}",
            u32::from(text.chars().next().unwrap())
        );
    }
}
