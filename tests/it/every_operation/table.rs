//! The table of all operations.

use super::rows::Kind::{self, Canceled, Output, Processed, Waiting};
use Access::{Account, Named, Public, Resource};
use Body::{Bytes, Image, Json, Manifest, Nothing, Raw, Rows, Search, Tus, Upload};

/// The authorization that an operation needs.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// No token, with the reason.
    Public(&'static str),
    /// A token. The operation is about the account of the token.
    Account,
    /// A token. The operation creates the resource in the path, whose name is free in every account.
    Named(&'static str),
    /// A token. The operation is about the resource in the path, which must belong to the account of the token.
    Resource(Kind),
}

/// The body of a valid request.
#[derive(Clone, Copy)]
pub(super) enum Body {
    Nothing,
    Json(&'static str),
    /// None, but the query of a search.
    Search,
    Upload,
    Image,
    /// None, but the headers of a resumable upload.
    Tus,
    /// The first bytes of a resumable upload.
    Bytes,
    /// A file alone.
    Raw,
    Manifest,
    /// Rows of a dataset.
    Rows,
}

/// A plan request for a WAV file.
const PLAN: &str = r#"{"preset":"audio","source":{"container":"wav","bytes":9000,"duration_us":1000000,"start_us":0,"streams":[
    {"index":0,"codec":"pcm_s16le","decodable":true,"default":true,"language":null,
    "kind":{"audio":{"sample_rate_hz":44100,"channels":1,"duration_us":null}}}]}}"#;

/// All operations: method and path, access, and a body with which the owner succeeds.
pub(super) const OPERATIONS: &[(&str, Access, Body)] = &[
    ("POST /api/auth/signup", Public("it creates an account"), Json("{}")),
    ("POST /api/auth/login", Public("it issues a token"), Json("{}")),
    ("GET /api/auth/signup/ping", Public("it has no content"), Nothing),
    ("GET /api/auth/login/ping", Public("it has no content"), Nothing),
    ("GET /api/tasks", Account, Nothing),
    ("POST /api/tasks", Account, Upload),
    ("GET /api/tasks/{id}", Resource(Processed), Nothing),
    ("DELETE /api/tasks/{id}", Resource(Waiting), Nothing),
    ("POST /api/tasks/{id}/cancel", Resource(Waiting), Nothing),
    ("POST /api/tasks/{id}/retry", Resource(Canceled), Nothing),
    ("GET /api/tasks/{id}/report", Resource(Processed), Nothing),
    ("OPTIONS /api/uploads", Public("browsers send no token"), Nothing),
    ("POST /api/uploads", Account, Tus),
    ("PUT /api/uploads/file", Account, Raw),
    (
        "POST /api/uploads/presigned",
        Account,
        Json(r#"{"bytes":1000,"file_name":"clip.mp4"}"#),
    ),
    ("POST /api/uploads/{id}/parts", Resource(Kind::Written), Json("{}")),
    (
        "POST /api/uploads/{id}/complete",
        Resource(Kind::Written),
        Json(r#"{"etags":["\"any\""]}"#),
    ),
    ("GET /api/uploads/{id}", Resource(Kind::Unfinished), Nothing),
    ("HEAD /api/uploads/{id}", Resource(Kind::Unfinished), Tus),
    ("PATCH /api/uploads/{id}", Resource(Kind::Unfinished), Bytes),
    ("DELETE /api/uploads/{id}", Resource(Kind::Unfinished), Tus),
    ("POST /api/imports", Account, Manifest),
    ("GET /api/imports", Account, Nothing),
    ("GET /api/imports/{id}", Resource(Kind::Import), Nothing),
    ("DELETE /api/imports/{id}", Resource(Kind::FailedImport), Nothing),
    ("GET /api/imports/{id}/events", Resource(Kind::Import), Nothing),
    ("GET /api/imports/{id}/rows", Resource(Kind::Import), Nothing),
    ("GET /api/imports/{id}/result", Resource(Kind::Import), Nothing),
    ("POST /api/imports/{id}/cancel", Resource(Kind::Import), Nothing),
    ("POST /api/imports/{id}/retry", Resource(Kind::FailedImport), Nothing),
    ("GET /api/datasets", Account, Nothing),
    ("GET /api/datasets/{name}", Resource(Kind::Facts), Nothing),
    (
        "PUT /api/datasets/{name}",
        Named("mine"),
        Json(r#"{"regions":{"code":"c","geometry":"g"}}"#),
    ),
    ("DELETE /api/datasets/{name}", Resource(Kind::Facts), Nothing),
    ("POST /api/datasets/{name}/versions", Resource(Kind::Facts), Rows),
    ("GET /api/analytics/{source}/total", Resource(Kind::Facts), Nothing),
    ("GET /api/analytics/{source}/series", Resource(Kind::Facts), Nothing),
    (
        "GET /api/analytics/{source}/by/{dimension}",
        Resource(Kind::Dimension),
        Nothing,
    ),
    ("GET /api/analytics/{source}/map", Resource(Kind::Facts), Nothing),
    ("GET /api/regions/{dataset}/{code}", Resource(Kind::Region), Nothing),
    ("GET /api/guest-links", Account, Nothing),
    ("POST /api/guest-links", Account, Json("{}")),
    ("GET /api/guest-links/{id}", Resource(Kind::GuestLink), Nothing),
    (
        "PATCH /api/guest-links/{id}",
        Resource(Kind::GuestLink),
        Json(r#"{"revoked":true}"#),
    ),
    ("DELETE /api/guest-links/{id}", Resource(Kind::GuestLink), Nothing),
    (
        "GET /api/guest/{token}",
        Public("its address cannot be guessed"),
        Nothing,
    ),
    (
        "POST /api/guest/{token}/session",
        Public("its address cannot be guessed"),
        Json("{}"),
    ),
    ("POST /api/plan", Account, Json(PLAN)),
    (
        "GET /api/video/download/{year}/{month}/{day}/{name}",
        Resource(Output),
        Nothing,
    ),
    (
        "GET /api/video/play/{token}/{year}/{month}/{day}/{name}/{output}/{file}",
        Resource(Kind::Stream),
        Nothing,
    ),
    ("POST /api/tasks/{id}/publish", Resource(Processed), Json("{}")),
    ("GET /api/videos", Account, Nothing),
    ("GET /api/videos/search", Account, Search),
    ("GET /api/videos/{id}", Resource(Kind::Video), Nothing),
    (
        "PATCH /api/videos/{id}",
        Resource(Kind::Video),
        Json(r#"{"title":"A title"}"#),
    ),
    ("DELETE /api/videos/{id}", Resource(Kind::Video), Nothing),
    ("POST /api/videos/{id}/publish", Resource(Kind::Video), Json("{}")),
    ("POST /api/videos/{id}/unpublish", Resource(Kind::Video), Nothing),
    ("GET /api/searches/{id}", Resource(Kind::Search), Nothing),
    ("GET /api/library", Public("it shows public videos only"), Nothing),
    ("GET /api/library/search", Public("it shows public videos only"), Search),
    (
        "GET /api/library/{id}",
        Public("the address of an unlisted video cannot be guessed"),
        Nothing,
    ),
    (
        "GET /api/library/{id}/files/{output}",
        Public("its address cannot be guessed"),
        Nothing,
    ),
    (
        "GET /api/library/{id}/files/{output}/{file}",
        Public("its address cannot be guessed"),
        Nothing,
    ),
    ("GET /api/events", Account, Nothing),
    ("GET /api/events/stream", Account, Nothing),
    ("POST /api/events/tickets", Account, Nothing),
    ("GET /api/webhooks", Account, Nothing),
    (
        "POST /api/webhooks",
        Account,
        Json(r#"{"url":"https://hooks.example.com/","event_types":["task.processed"]}"#),
    ),
    ("GET /api/webhooks/{id}", Resource(Kind::Webhook), Nothing),
    (
        "PATCH /api/webhooks/{id}",
        Resource(Kind::Webhook),
        Json(r#"{"event_types":[]}"#),
    ),
    ("DELETE /api/webhooks/{id}", Resource(Kind::Webhook), Nothing),
    (
        "POST /api/webhooks/{id}/secret/rotate",
        Resource(Kind::Webhook),
        Nothing,
    ),
    ("POST /api/webhooks/{id}/test", Resource(Kind::Webhook), Nothing),
    ("GET /api/webhooks/deliveries", Account, Nothing),
    (
        "POST /api/webhooks/deliveries/{id}/resend",
        Resource(Kind::Delivery),
        Nothing,
    ),
    ("GET /api/webhooks/secret", Account, Nothing),
    ("POST /api/webhooks/secret/rotate", Account, Nothing),
    ("GET /api/images", Account, Nothing),
    ("POST /api/images", Account, Image),
    ("GET /api/images/{name}", Resource(Kind::Image), Nothing),
    ("DELETE /api/images/{name}", Resource(Kind::Image), Nothing),
    ("GET /api/credentials", Account, Nothing),
    (
        "POST /api/credentials",
        Account,
        Json(r#"{"name":"media","endpoint":"https://s3.example.com","access_key_id":"k","secret_access_key":"s"}"#),
    ),
    ("DELETE /api/credentials/{name}", Resource(Kind::Credential), Nothing),
    ("GET /api/presets", Account, Nothing),
    (
        "POST /api/presets",
        Account,
        Json(r#"{"name":"mine","recipe":{"outputs":[{"kind":"mp4"}]}}"#),
    ),
    ("GET /api/presets/{name}", Resource(Kind::Preset), Nothing),
    (
        "PUT /api/presets/{name}",
        Resource(Kind::Preset),
        Json(r#"{"recipe":{"outputs":[{"kind":"mp4"}]}}"#),
    ),
    ("DELETE /api/presets/{name}", Resource(Kind::Preset), Nothing),
    ("GET /api/health", Public("operators use it"), Nothing),
    ("GET /livez", Public("supervisors use it"), Nothing),
    ("GET /readyz", Public("load balancers use it"), Nothing),
    (
        "GET /metrics",
        Public("Prometheus reads it; nginx does not forward it"),
        Nothing,
    ),
    ("GET /ping", Public("it has no content"), Nothing),
];
