//! Texts of users in tables that a spreadsheet opens.
//!
//! *Formulas.* A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break for a formula,
//! also when it is quoted. Titles and other texts are written by users, so a formula could send the table of its reader
//! to another server. An apostrophe goes before it, which spreadsheets take for the beginning of a text. In JSON the
//! texts are exact.

use std::borrow::Cow;
use std::iter::once;

/// The characters with which a formula begins. Those of full width are formulas in East Asian versions.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The characters after which a spreadsheet may begin a cell.
const BEGINS_CELL: [char; 5] = [',', ';', '\t', '\r', '\n'];

/// A text that no spreadsheet takes for a formula. Where lists are separated by `;` or the file is not read as CSV, a
/// spreadsheet ignores the quotes and begins a cell in the middle of a text, so every beginning of a cell counts.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let pairs = || once('\n').chain(text.chars()).zip(text.chars());
    let begins_formula = |(before, next): (char, char)| BEGINS_CELL.contains(&before) && FORMULA.contains(&next);
    let begins_with_space = text.starts_with(['\t', '\r', '\n']);
    if !begins_with_space && !pairs().any(begins_formula) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::from(if begins_with_space { "'" } else { "" });
    for pair in pairs() {
        safe.extend(begins_formula(pair).then_some('\''));
        safe.push(pair.1);
    }
    Cow::Owned(safe)
}
