//! The values of a record.

use serde_json::{Map, Value};
use std::sync::Arc;

/// The values of a record: the cells of CSV, or the object of JSONL.
#[derive(Clone, Debug, PartialEq)]
pub enum Fields {
    /// A record of CSV.
    Cells(Cells),
    /// A line of JSONL.
    Object(Map<String, Value>),
}

impl Fields {
    /// The values by their names. Cells are strings; empty ones are left out.
    #[must_use]
    pub fn into_object(self) -> Map<String, Value> {
        match self {
            Self::Cells(cells) => cells.into_object(),
            Self::Object(object) => object,
        }
    }
}

/// The cells of a record of CSV. They stand in one text, so a record needs two allocations, however many columns it
/// has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    columns: Arc<Columns>,
    text: String,
    /// The ends of the cells in the text.
    ends: Vec<usize>,
}

/// The names of the columns with their indices, sorted by name: a map is built faster from sorted keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns(Vec<(String, usize)>);

impl Columns {
    pub(crate) fn new(names: &[String]) -> Self {
        let mut columns: Vec<_> = names.iter().cloned().zip(0..).collect();
        columns.sort();
        Self(columns)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Cells {
    pub(crate) fn new(columns: Arc<Columns>, text: String, ends: Vec<usize>) -> Self {
        Self { columns, text, ends }
    }

    /// The cell in the column with this index; empty if there is none.
    #[must_use]
    pub fn get(&self, index: usize) -> &str {
        cell(&self.text, &self.ends, index)
    }

    fn into_object(self) -> Map<String, Value> {
        let cells = self.columns.0.iter().map(|(name, index)| (name, self.get(*index)));
        let present = cells.filter(|(_, cell)| !cell.is_empty());
        present.map(|(name, cell)| (name.clone(), Value::from(cell))).collect()
    }
}

/// A cell in the text of all of them.
pub(crate) fn cell<'a>(text: &'a str, ends: &[usize], index: usize) -> &'a str {
    let end_of = |index| ends.get(index).copied().unwrap_or_default();
    let begin = index.checked_sub(1).map_or(0, end_of);
    text.get(begin..end_of(index)).unwrap_or_default()
}
