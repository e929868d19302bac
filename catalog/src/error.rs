//! Errors of the catalog.

use thiserror::Error;

/// An error of the catalog.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no file yet, or it was discarded: it must be filled first.
    #[error("the catalog is not filled yet")]
    NotFilled,
    /// The cursor belongs to another query.
    #[error("the cursor does not belong to this query")]
    CursorInvalid,
    /// No reader became free in time.
    #[error("all readers of the catalog are busy")]
    Busy,
    /// The query took longer than [`QUERY_TIMEOUT`](crate::QUERY_TIMEOUT) and was interrupted.
    #[error("the query took too long")]
    TooSlow,
    /// The file is damaged. It is discarded and must be filled again.
    #[error("the file of the catalog is damaged")]
    Damaged,
    /// A file that was filled is behind the one in use.
    #[error("the filled file is behind the one in use")]
    Behind,
    /// The directory cannot be read or written.
    #[error("the directory of the catalog: {0}")]
    Directory(#[from] std::io::Error),
    /// Any other error of SQLite, such as a full disk.
    #[error("the catalog: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => return Self::Busy,
            sqlx::Error::ColumnDecode { .. } => return Self::Damaged,
            _ => {}
        }
        // The primary result code is the last byte: 9 SQLITE_INTERRUPT, 11 SQLITE_CORRUPT, 26 SQLITE_NOTADB.
        let code = error
            .as_database_error()
            .and_then(|inner| inner.code()?.parse::<u32>().ok());
        match code.map(|code| code & 0xFF) {
            Some(9) => Self::TooSlow,
            Some(11 | 26) => Self::Damaged,
            _ => Self::Database(error),
        }
    }
}
