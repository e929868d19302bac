//! Datasets: tables of facts and regions that an account loads.

use super::imports::{begun, view as import_view};
use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, Owned, Principal, read_name};
use crate::idempotency::{IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::upload::ManifestForm;
use api::datasets::{DatasetBody, DatasetList, DatasetVersion, DatasetView};
use api::imports::ImportView;
use app::datasets::{self, Columns};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::dataset::DatasetKind;
use domain::manifest::Kind;
use entity::dataset;
use utoipa::ToSchema;

/// The form of a file of a dataset. The parts may come in any order.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "describes the form in the OpenAPI document; `ManifestForm` reads it"
)]
pub(crate) struct DatasetForm {
    /// The rows: CSV with a header, or JSON Lines; plain, gzip or zstd.
    #[schema(required = false, value_type = String, format = Binary)]
    file: Option<Vec<u8>>,
    /// The id of a complete upload with the purpose `manifest`, instead of a file.
    #[schema(nullable = false, example = "")]
    upload_id: Option<String>,
    /// Check the rows without an effect.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
    /// Load also if the same file is loaded.
    #[schema(nullable = false)]
    again: Option<bool>,
}

problems!(ListProblems: TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(PutProblems: FieldsMissing, NameInvalid, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired, RequestTimeout,
    DatasetKindFixed, DatasetsTooMany, BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(ShowProblems: TokenMissing, TokenInvalid, TokenExpired, DatasetNotFound, Unavailable);
problems!(LoadProblems: FileMissing, FileEmpty, MultipartInvalid, RequestInvalid, PartUnknown, IdempotencyKeyInvalid, TokenMissing, TokenInvalid,
    TokenExpired, DatasetNotFound, RequestTimeout, IdempotencyKeyInUse, ImportsTooMany, UploadNotFound, UploadUnfinished,
    UploadUsed, UploadPurposeWrong, UploadInterrupted, UploadTooLarge, ContentTypeUnsupported, IdempotencyKeyReused, Unavailable,
    StorageFull);

impl FromBody for Columns {
    type Wire = DatasetBody;

    fn check(body: DatasetBody) -> Result<Self, Refusal> {
        let (kind, columns) = match (body.facts, body.regions) {
            (Some(facts), None) => ("facts", Self::Facts(facts)),
            (None, Some(regions)) => ("regions", Self::Regions(regions)),
            (None, None) => return Err(Refusal::of_missing_field("facts")),
            (Some(_), Some(_)) => {
                let accepted = "accepted: one of facts and regions";
                return Err(Refusal::of_invalid_field("regions", accepted));
            }
        };
        match Self::check(&columns) {
            Ok(()) => Ok(columns),
            Err(error) => Err(Refusal::of_invalid_field(
                &format!("{kind}.{}", error.field),
                error.detail,
            )),
        }
    }
}

fn view(dataset: dataset::Model) -> Result<DatasetView, Error> {
    let (facts, regions) = match Columns::read(dataset.kind.into(), &dataset.columns)? {
        Columns::Facts(columns) => (Some(columns), None),
        Columns::Regions(columns) => (None, Some(columns)),
    };
    Ok(DatasetView {
        name: dataset.name,
        kind: dataset.kind.into(),
        facts,
        regions,
        loaded: dataset.version.map(|version| DatasetVersion {
            import_id: version,
            rows: dataset.version_rows.unwrap_or_default(),
            loaded_at: dataset.loaded_at,
        }),
        created_at: dataset.created_at,
        updated_at: dataset.updated_at,
    })
}

/// Lists the datasets of the account.
///
/// All datasets on one page.
#[utoipa::path(get, operation_id = "list_datasets", path = "/datasets", tag = "analytics", security(("bearer" = [])),
    responses((status = 200, description = "All datasets", body = DatasetList), ListProblems))]
pub(crate) async fn list(State(state): State<AppState>, principal: Principal) -> Result<Json<DatasetList>, Error> {
    let datasets = state.app.with_timeout(dataset::list(&state.app.db, principal.account));
    let data: Result<_, Error> = datasets.await?.into_iter().map(view).collect();
    Ok(Json(DatasetList {
        data: data?,
        next_cursor: None,
    }))
}

/// Creates a dataset or changes its columns.
///
/// A dataset has facts or regions. The body says in which columns of its files the values are. Rows that are loaded
/// stay; rows of later loads are read from the new columns. An account may have up to 100 datasets.
#[utoipa::path(put, operation_id = "put_dataset", path = "/datasets/{name}", tag = "analytics", params(("name" = String, Path, description = "The name of the dataset")),
    security(("bearer" = [])), request_body(content = DatasetBody, description = "The columns"),
    responses((status = 200, description = "The dataset", body = DatasetView), PutProblems))]
pub(crate) async fn put(
    State(state): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
    Body(columns): Body<Columns>,
) -> Result<Json<DatasetView>, Error> {
    let name = read_name(&name)?;
    let dataset = datasets::put(&state.app, principal.account, &name, &columns).await?;
    Ok(Json(view(dataset)?))
}

/// Shows a dataset.
///
/// With its columns and the rows that queries read.
#[utoipa::path(get, operation_id = "show_dataset", path = "/datasets/{name}", tag = "analytics", params(("name" = String, Path, description = "The name of the dataset")),
    security(("bearer" = [])), responses((status = 200, description = "The dataset", body = DatasetView), ShowProblems))]
pub(crate) async fn show(Owned(dataset): Owned<dataset::Model>) -> Result<Json<DatasetView>, Error> {
    Ok(Json(view(dataset)?))
}

/// Removes a dataset.
///
/// With all its rows.
#[utoipa::path(delete, operation_id = "remove_dataset", path = "/datasets/{name}", tag = "analytics", params(("name" = String, Path, description = "The name of the dataset")),
    security(("bearer" = [])), responses((status = 204, description = "It is removed"), ShowProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    Owned(dataset): Owned<dataset::Model>,
) -> Result<StatusCode, Error> {
    datasets::remove(&state.app, &dataset).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Loads a file into a dataset.
///
/// An import reads it: poll `GET /api/imports/{id}` until the `status` is final. Queries see all of its rows or none:
/// they replace those that are loaded when the import ends, except those with errors. An import that fails, that is
/// canceled or that has no valid row changes nothing. The same file is loaded once: sent again, the reply is the import
/// that has loaded it.
#[utoipa::path(post, operation_id = "load_dataset", path = "/datasets/{name}/versions", tag = "analytics",
    params(("name" = String, Path, description = "The name of the dataset"), IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = DatasetForm, content_type = "multipart/form-data", description = "The file and options"),
    responses((status = 201, description = "A worker will read the file", body = ImportView),
        (status = 200, description = "The import of the same file", body = ImportView), LoadProblems))]
pub(crate) async fn load(
    State(state): State<AppState>,
    principal: Principal,
    Owned(dataset): Owned<dataset::Model>,
    key: IdempotencyKey,
    form: ManifestForm,
) -> Result<Response, Error> {
    let kind = match dataset.kind.into() {
        DatasetKind::Facts => Kind::Facts,
        DatasetKind::Regions => Kind::Regions,
    };
    let work = async |form: ManifestForm, guard| {
        let new = form.receive(&state, Some(kind)).await?;
        Ok::<_, Error>(datasets::load(&state.app, &dataset, new, guard, import_view).await?)
    };
    let request = key.of(principal);
    let outcome = request.once(&state.app, form, ManifestForm::fingerprint, work).await?;
    Ok(begun(outcome))
}
