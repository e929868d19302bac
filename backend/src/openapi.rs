//! The parts of the OpenAPI document that no route declares: title, tags, security scheme, file bodies and error
//! replies. `operations.rs` generates the document.

use crate::extract::TOKEN_COOKIE;
use api::events::{EventData, EventView, TaskProgressView};
use api::problem::{Problem, WrongField};
use api::uploads::NewTaskBody;
use domain::library::Sort;
use domain::{Code, EventType, Language};
use std::collections::BTreeMap;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};

/// The schema of the bytes of a file, for `responses(…)`: `string` with the format `binary`, by which client generators
/// recognize files.
pub(crate) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        bytes.into()
    }
}

impl ToSchema for Binary {}

/// The schema of a whole number of which large values mean the largest accepted one. A format would exclude them.
pub(crate) struct Count;

impl PartialSchema for Count {
    fn schema() -> RefOr<Schema> {
        let count = ObjectBuilder::new().schema_type(Type::Integer);
        count.minimum(Some(1)).into()
    }
}

impl ToSchema for Count {}

/// The document without its operations.
#[derive(OpenApi)]
#[openapi(
    info(title = "Rushes", description = "Upload a video, choose how to process it, follow the progress and download the outputs."),
    servers((url = "/", description = "The server that served this document")),
    components(schemas(Problem, WrongField, Sort, EventType, EventView, EventData, TaskProgressView, NewTaskBody)),
    modifiers(&SecuritySchemes),
    tags(
        (name = "accounts", description = "Sign-up and login"),
        (name = "uploads", description = "Resumable uploads (tus 1.0), and parts that clients write to the bucket"),
        (name = "guests", description = "Links with which others upload files without an account"),
        (name = "tasks", description = "Uploads, their processing and their outputs"),
        (name = "videos", description = "The videos of the account: description, publication, removal"),
        (name = "library", description = "Lists, searches and files of published videos"),
        (name = "events", description = "What has happened to tasks and videos, as a list and as a stream"),
        (name = "webhooks", description = "URLs to which events are sent, and the log of deliveries"),
        (name = "imports", description = "Many videos, or changes of many videos, from one manifest"),
        (name = "analytics", description = "Datasets of facts and regions: totals, series, breakdowns and maps"),
        (name = "images", description = "Images for watermarks and bumpers"),
        (name = "presets", description = "Named recipes"),
        (name = "credentials", description = "Access keys for buckets of the account, to which tasks write their outputs"),
        (name = "health", description = "Health checks and metrics for load balancers, supervisors and people on call"),
    )
)]
pub(crate) struct Api;

/// Adds the security schemes.
struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut Document) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let bearer = bearer.description(Some("The `token` of `POST /api/auth/login`"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let guest = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let guest = guest.description(Some("The `token` of `POST /api/guest/{token}/session`"));
        components.add_security_scheme("guest", SecurityScheme::Http(guest.build()));
        let cookie = ApiKeyValue::with_description(TOKEN_COOKIE, "The same token, for a stream of events alone");
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    }
}

/// The error replies of an operation: one response per status, which lists the codes of that status.
pub(crate) fn error_responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), RefOr::T(response_of(codes))))
        .collect()
}

/// A problem details response whose description lists the codes with their English sentences.
pub(crate) fn response_of(codes: impl IntoIterator<Item = Code>) -> Response {
    let line = |code: Code| format!("- `{}`: {}", code.as_str(), code.sentence(Language::En));
    let lines: Vec<String> = codes.into_iter().map(line).collect();
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(lines.join("\n"))
        .content("application/problem+json", content)
        .build()
}

/// `problems!(Name: Code, …)` defines a type that documents these error codes in `responses(…)`.
macro_rules! problems {
    ($name:ident: $($code:ident),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::openapi::error_responses(&[$(domain::Code::$code),+])
            }
        }
    };
}
pub(crate) use problems;
