//! The HTML page of error codes. The `type` of a problem refers to its row there.

use axum::response::Html;
use domain::{Code, Language};
use std::fmt::Write;

/// Shows a table of all codes with their status and their sentences.
pub(crate) async fn page() -> Html<String> {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Rushes: error codes</title>\
         <style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem}td{padding:.2rem 1rem .2rem 0}\
         tr:target{background:#ffd}</style><h1>Error codes</h1><table>",
    );
    for code in Code::ALL {
        let (name, status) = (code.as_str(), code.status());
        let (en, es) = (code.sentence(Language::En), code.sentence(Language::Es));
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "<tr id=\"{name}\"><td><code>{name}</code><td>{status}<td>{en}<td lang=\"es\">{es}"
        );
    }
    page.push_str("</table></html>");
    Html(page)
}
