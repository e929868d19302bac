//! The landing page at `/` and its icon. The page has no scripts and loads nothing from other hosts.

use crate::request_context::RequestContext;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use domain::Language;

const POLICY: &str = "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><rect width=\"16\" height=\"16\" rx=\"3\" fill=\"#223\"/>\
    <path d=\"M5 3.5v9l7.5-4.5z\" fill=\"#fff\"/></svg>\n";

/// The texts of the page in a language: title, introduction, and the links to the API, health and error codes.
const fn words(language: Language) -> [&'static str; 5] {
    match language {
        Language::En => [
            "Rushes",
            "This is a video-processing service. Programs use its API.",
            "Try the API",
            "Health of the service",
            "Error codes",
        ],
        Language::Es => [
            "Rushes",
            "Este es un servicio de procesamiento de video. Los programas usan su API.",
            "Probar la API",
            "Estado del servicio",
            "Códigos de error",
        ],
    }
}

/// Shows the landing page in the language of the request.
pub(crate) async fn page(context: RequestContext) -> Response {
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

/// Sends the icon. Browsers request `/favicon.ico` and accept any image format.
pub(crate) async fn icon() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, ICON).into_response()
}
