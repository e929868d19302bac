//! The page that the `type` of a problem points at: every code in a table.

use axum::response::Html;
use domain::{Code, Language};
use std::fmt::Write;

/// All codes with their status and sentences.
pub(crate) async fn page() -> Html<String> {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Rushes: error codes</title>\
         <style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem}td{padding:.2rem 1rem .2rem 0}\
         tr:target{background:#ffd}</style><h1>Error codes</h1><table>",
    );
    for code in Code::ALL {
        let (word, status) = (code.as_str(), code.status());
        let (en, es) = (code.sentence(Language::En), code.sentence(Language::Es));
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "<tr id=\"{word}\"><td><code>{word}</code><td>{status}<td>{en}<td lang=\"es\">{es}"
        );
    }
    page.push_str("</table></html>");
    Html(page)
}
