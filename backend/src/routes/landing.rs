//! The page that a browser shows for the address of the service alone, and its icon. Nothing is loaded from elsewhere, and nothing
//! runs in it.

use crate::context::Context;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use domain::Language;

const POLICY: &str = "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><rect width=\"16\" height=\"16\" rx=\"3\" fill=\"#223\"/>\
    <path d=\"M5 3.5v9l7.5-4.5z\" fill=\"#fff\"/></svg>\n";

/// The texts of the page in a language: title, lead, API, health, errors.
const fn words(language: Language) -> [&'static str; 5] {
    match language {
        Language::En => [
            "Rushes",
            "A video-processing service answers here. Programs use its API.",
            "Try the API",
            "How the service is",
            "Error codes",
        ],
        Language::Es => [
            "Rushes",
            "Aquí responde un servicio de procesamiento de video. Los programas usan su API.",
            "Probar la API",
            "Cómo está el servicio",
            "Códigos de error",
        ],
    }
}

/// The page, in the language of the reader.
pub(crate) async fn page(context: Context) -> Response {
    let (tag, [title, lead, api, health, errors]) = (context.language.tag(), words(context.language));
    let page = format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<h1>{title}</h1>\n<p>{lead}</p>\n<ul>\n<li><a href=\"/docs\">{api}</a></li>\n\
         <li><a href=\"/api/health\">{health}</a></li>\n<li><a href=\"/docs/errors\">{errors}</a></li>\n</ul>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CONTENT_LANGUAGE, HeaderValue::from_static(tag)),
        (VARY, HeaderValue::from_static("accept-language")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, page).into_response()
}

/// The icon. Browsers request this name for icons of every format.
pub(crate) async fn icon() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, ICON).into_response()
}
