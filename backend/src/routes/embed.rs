//! The player page of a published video at `/embed/{public_id}`, for an `iframe` on any site.
//!
//! The page has no scripts: the browser plays the first of its sources whose type it knows, adaptive streams before
//! files. Titles and names come from users, so all of them are escaped, and the policy of the page allows nothing but
//! media and pictures of this service. Unlike all other pages, other sites may show it in a frame.

use crate::AppState;
use crate::access_log::Frameable;
use crate::config::Delivery;
use crate::error::Error;
use crate::extract::{BaseUrl, read_path};
use crate::request_context::RequestContext;
use crate::routes::library::freshness_headers;
use app::library::{Details, Output, Video, embed_url, public_url};
use axum::Extension;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Code, Language};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use std::time::Duration;

/// The owner may change or withdraw the video at any time.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// Time after which a browser may ask again.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(2);

const STYLE: &str = "html,body{margin:0;height:100%;background:#000;color:#eee;font:1rem/1.5 system-ui}\
    video,audio{display:block;width:100%;height:100%}p{padding:1rem;text-align:center}a{color:inherit}";

/// The policy of the page. It names the style by its hash (CSP Level 3 §2.3.1), and the bucket if files are redirected
/// there, because a redirect must be allowed as well (§6.7.2.8).
fn policy(state: &AppState) -> HeaderValue {
    static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE)));
    let style = STYLE_HASH.as_str();
    let bucket = match state.config.delivery {
        Delivery::Redirect => state.app.storage.signed_origin(),
        Delivery::Backend | Delivery::Nginx => None,
    };
    let files = bucket.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
    let policy = format!(
        "default-src 'none'; media-src {files}; img-src {files}; style-src 'sha256-{style}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors *"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The texts of the page: there is no such video, it cannot be shown now, and this browser cannot play it.
const fn words(language: Language) -> [&'static str; 3] {
    match language {
        Language::En => [
            "There is no such video.",
            "The video cannot be shown at the moment. Please try again later.",
            "This browser cannot play the video. Download it",
        ],
        Language::Es => [
            "No existe ese video.",
            "El video no se puede mostrar por el momento. Intenta más tarde.",
            "Este navegador no puede reproducir el video. Descárgalo",
        ],
    }
}

/// Shows the player. Errors are pages too, because people see them in the frame.
pub(crate) async fn page(
    State(state): State<AppState>,
    context: RequestContext,
    base: BaseUrl,
    mut request: Parts,
) -> Response {
    let found = async {
        let id: String = read_path(&mut request, Code::VideoNotFound).await?;
        let (video, freshness) = state.app.library.video_of_link(&id).await?;
        let details = Details::of(&video);
        let player = player(&video, &details, context.language).ok_or(Code::VideoNotFound)?;
        let mut headers = freshness_headers(freshness);
        headers.insert(CACHE_CONTROL, CACHE);
        Ok::<_, Error>((headers, video.title.clone(), head(&video, &details, &base) + &player))
    };
    let [absent, unavailable, _] = words(context.language);
    let mut response = match found.await {
        Ok((headers, title, body)) => reply(StatusCode::OK, headers, &context, &title, &body),
        Err(Error(app::Error::Client(refusal))) if refusal.code == Code::VideoNotFound => reply(
            StatusCode::NOT_FOUND,
            HeaderMap::new(),
            &context,
            absent,
            &message(absent),
        ),
        Err(error) => {
            let mut headers = HeaderMap::new();
            match &error.0 {
                app::Error::Client(refusal) => {
                    let wait = refusal.retry_after.unwrap_or(RETRY_AFTER_DEFAULT);
                    headers.insert(RETRY_AFTER, wait.as_secs().max(1).into());
                }
                app::Error::Internal(error) => tracing::error!(?error, "a player page could not be built"),
            }
            let status = StatusCode::SERVICE_UNAVAILABLE;
            reply(status, headers, &context, unavailable, &message(unavailable))
        }
    };
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy(&state));
    response
}

/// A page, which is not cached unless `headers` say so.
fn reply(status: StatusCode, headers: HeaderMap, context: &RequestContext, title: &str, body: &str) -> Response {
    let tag = context.language.tag();
    let page = format!(
        "<!doctype html>\n<html lang=\"{tag}\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n{body}</html>\n",
        escaped(title)
    );
    let common = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_LANGUAGE, HeaderValue::from_static(tag)),
        (VARY, HeaderValue::from_static("accept-language")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, common, headers, Extension(Frameable), page).into_response()
}

fn message(text: &str) -> String {
    format!("<p>{}</p>\n", escaped(text))
}

/// The properties for sites that show a preview of a link (The Open Graph protocol, <https://ogp.me>).
fn head(video: &Video, details: &Details, base: &BaseUrl) -> String {
    let public_url = public_url(&base.0, &video.public_id);
    let poster = details.poster().map(|poster| poster.url(&public_url));
    let properties = [
        ("og:type", Some("video.other".to_owned())),
        ("og:title", Some(video.title.clone())),
        (
            "og:description",
            Some(video.description.clone()).filter(|text| !text.is_empty()),
        ),
        ("og:url", Some(embed_url(&base.0, &video.public_id))),
        ("og:image", poster),
    ];
    let lines = properties.into_iter().filter_map(|(name, value)| {
        let value = escaped(&value?);
        Some(format!("<meta property=\"{name}\" content=\"{value}\">\n"))
    });
    lines.collect()
}

/// The element that plays the video, with all outputs of its kind as sources; `None` if no output can be played.
fn player(video: &Video, details: &Details, language: Language) -> Option<String> {
    let is_audio = |output: &&Output| output.media_type.starts_with("audio/");
    let is_video = |output: &&Output| output.media_type.starts_with("video/");
    let main = details.playback()?;
    let others = details.outputs.iter().filter(|output| output.id != main.id);
    let (element, others): (_, Vec<_>) = if is_audio(&main) {
        ("audio", others.filter(is_audio).collect())
    } else {
        ("video", others.filter(is_video).collect())
    };
    // Without host, so that the policy, which allows this host alone, holds under each name of the service.
    let public_url = public_url("", &video.public_id);
    let sources = std::iter::once(main).chain(others).map(|output| {
        let (url, kind) = (escaped(&output.url(&public_url)), escaped(&output.media_type));
        format!("<source src=\"{url}\" type=\"{kind}\">\n")
    });
    let sources: String = sources.collect();
    let poster = details.poster().filter(|_| element == "video");
    let poster = poster.map(|poster| format!(" poster=\"{}\"", escaped(&poster.url(&public_url))));
    let (poster, link) = (poster.unwrap_or_default(), escaped(&main.url(&public_url)));
    let [.., cannot_play] = words(language);
    Some(format!(
        "<{element} controls playsinline preload=\"metadata\"{poster}>\n{sources}\
         <p><a href=\"{link}\">{cannot_play}</a></p>\n</{element}>\n"
    ))
}

/// A text for element content and for attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
