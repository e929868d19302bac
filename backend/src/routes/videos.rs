//! Videos: their owner shows, changes, publishes, hides and removes them. `library.rs` lists and finds them.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{BaseUrl, FromBody, Json as Body, Owned, Principal, VideoPath};
use crate::openapi::problems;
use api::videos::{PublicationBody, VideoPatchBody, VideoTask, VideoView};
use app::library::{Details, Output, embed_url, public_url};
use app::videos::{self, Changed, MetadataPatch, OwnVideo, Patch, Publication};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::video::{self as rules, Accepted};
use domain::{TaskId, Visibility};
use entity::task;
use entity::video::Changes;

problems!(ShowProblems: TokenMissing, TokenInvalid, TokenExpired, VideoNotFound, Unavailable);
problems!(UpdateProblems: RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired, VideoNotFound, RequestTimeout,
    ExternalIdTaken, BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(PublishProblems: RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired, VideoNotFound, TaskNotFound,
    RequestTimeout, TaskNotProcessed, BodyTooLarge, ContentTypeUnsupported, Unavailable);

impl FromBody for Patch {
    type Wire = VideoPatchBody;

    fn check(body: VideoPatchBody) -> Result<Self, Refusal> {
        let VideoPatchBody {
            title,
            description,
            tags,
            region,
            external_id,
            metadata,
        } = body;
        let nullable = |field, text: Option<Option<String>>| {
            text.map(|text| text.map(|text| checked(field, rules::word(&text))).transpose())
                .transpose()
        };
        let changes = Changes {
            // Null is checked as the empty title, which no video has.
            title: title
                .map(|text| checked("title", rules::title(&text.unwrap_or_default())))
                .transpose()?,
            description: description
                .map(|text| checked("description", rules::description(&text.unwrap_or_default())))
                .transpose()?,
            tags: tags
                .map(|tags| checked("tags", rules::tags(&tags.unwrap_or_default())))
                .transpose()?,
            region: nullable("region", region)?,
            external_id: nullable("external_id", external_id)?,
            metadata: None,
        };
        let metadata = match metadata {
            None => MetadataPatch::Keep,
            Some(None) => MetadataPatch::Clear,
            Some(Some(patch)) => MetadataPatch::Merge(patch),
        };
        Ok(Self { changes, metadata })
    }
}

impl FromBody for Publication {
    type Wire = PublicationBody;

    fn check(body: PublicationBody) -> Result<Self, Refusal> {
        Ok(Self {
            task: body.task_id.map(TaskId),
            visibility: body
                .visibility
                .map(|given| shown_visibility(given.as_deref()))
                .transpose()?,
        })
    }
}

/// The visibility of a published video.
fn shown_visibility(given: Option<&str>) -> Result<Visibility, Refusal> {
    let known = given.and_then(Visibility::from_word);
    known.filter(|known| *known != Visibility::Private).ok_or_else(|| {
        let given: Option<String> = given.map(|word| word.chars().take(40).collect());
        let given = given.map_or("null".to_owned(), |word| format!("{word:?}"));
        Refusal::of_invalid_field("visibility", format!("{given}; accepted: public, unlisted"))
    })
}

fn checked<T>(field: &str, value: Result<T, Accepted>) -> Result<T, Refusal> {
    value.map_err(|error| Refusal::of_invalid_field(field, error))
}

/// Shows a video of the account.
///
/// With its tasks and, while it is published, its public addresses.
#[utoipa::path(get, operation_id = "show_video", path = "/videos/{id}", tag = "videos", params(("id" = i64, Path, description = "The id of the video")), security(("bearer" = [])),
    responses((status = 200, description = "The video", body = VideoView), ShowProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    base: BaseUrl,
    principal: Principal,
    VideoPath(id): VideoPath,
) -> Result<Json<VideoView>, Error> {
    let video = videos::show(&state.app, principal.account, id).await?;
    Ok(Json(view(video, &base)))
}

/// Changes a video.
///
/// The body is a JSON merge patch (RFC 7396).
#[utoipa::path(patch, operation_id = "update_video", path = "/videos/{id}", tag = "videos", params(("id" = i64, Path, description = "The id of the video")), security(("bearer" = [])),
    request_body(content((VideoPatchBody = "application/merge-patch+json"), (VideoPatchBody = "application/json")), description = "The fields to change"),
    responses((status = 200, description = "The video", body = VideoView), UpdateProblems))]
pub(crate) async fn update(
    State(state): State<AppState>,
    base: BaseUrl,
    principal: Principal,
    VideoPath(id): VideoPath,
    Body(patch): Body<Patch>,
) -> Result<Json<VideoView>, Error> {
    let changed = videos::update(&state.app, principal.account, id, patch).await?;
    Ok(reply(&state, &base, changed).await)
}

/// Publishes a video.
///
/// Or changes which of its tasks is shown, and to whom. The public address of a video stays the same.
#[utoipa::path(post, operation_id = "publish_video", path = "/videos/{id}/publish", tag = "videos", params(("id" = i64, Path, description = "The id of the video")), security(("bearer" = [])),
    request_body(content = PublicationBody, description = "The task to show, and for whom"),
    responses((status = 200, description = "The published video", body = VideoView), PublishProblems))]
pub(crate) async fn publish(
    State(state): State<AppState>,
    base: BaseUrl,
    principal: Principal,
    VideoPath(id): VideoPath,
    Body(publication): Body<Publication>,
) -> Result<Json<VideoView>, Error> {
    let changed = videos::publish(&state.app, principal.account, id, publication).await?;
    Ok(reply(&state, &base, changed).await)
}

/// Publishes the video of a task with the outputs of this task.
///
/// The same as `POST /api/videos/{id}/publish`, for clients that only know the task.
#[utoipa::path(post, operation_id = "publish_task", path = "/tasks/{id}/publish", tag = "videos", params(("id" = i64, Path, description = "The id of the task")), security(("bearer" = [])),
    request_body(content = PublicationBody, description = "For whom; a `task_id` must be that of the path"),
    responses((status = 200, description = "The published video", body = VideoView), PublishProblems))]
pub(crate) async fn publish_task(
    State(state): State<AppState>,
    base: BaseUrl,
    Owned(task): Owned<task::Model>,
    Body(publication): Body<Publication>,
) -> Result<Json<VideoView>, Error> {
    if publication.task.is_some_and(|id| id != task.task_id()) {
        let detail = format!("accepted: {}, the task of the path", task.id);
        return Err(Refusal::of_invalid_field("task_id", detail).into());
    }
    let changed = videos::publish_task(&state.app, &task, publication.visibility).await?;
    Ok(reply(&state, &base, changed).await)
}

/// Makes a video private.
///
/// Its public address answers as if it did not exist. The video keeps its tasks.
#[utoipa::path(post, operation_id = "unpublish_video", path = "/videos/{id}/unpublish", tag = "videos", params(("id" = i64, Path, description = "The id of the video")), security(("bearer" = [])),
    responses((status = 200, description = "The private video", body = VideoView), ShowProblems))]
pub(crate) async fn unpublish(
    State(state): State<AppState>,
    base: BaseUrl,
    principal: Principal,
    VideoPath(id): VideoPath,
) -> Result<Json<VideoView>, Error> {
    let changed = videos::unpublish(&state.app, principal.account, id).await?;
    Ok(reply(&state, &base, changed).await)
}

/// Removes a video with its tasks, their outputs and the source.
///
/// Tasks in progress are canceled first. Removal cannot be undone.
#[utoipa::path(delete, operation_id = "remove_video", path = "/videos/{id}", tag = "videos", params(("id" = i64, Path, description = "The id of the video")), security(("bearer" = [])),
    responses((status = 204, description = "The video was removed"), ShowProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    principal: Principal,
    VideoPath(id): VideoPath,
) -> Result<StatusCode, Error> {
    let seq = videos::remove(&state.app, principal.account, id).await?;
    state.app.library.wait_for(seq).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The reply to a change, after the catalog of this process has applied it.
async fn reply(state: &AppState, base: &BaseUrl, changed: Changed) -> Json<VideoView> {
    let Changed { video, seq } = changed;
    state.app.library.wait_for(seq).await;
    Json(view(video, base))
}

fn view(own: OwnVideo, base: &BaseUrl) -> VideoView {
    let OwnVideo { video, tasks, outputs } = own;
    let visibility = Visibility::from(video.visibility);
    let details = Details::from(outputs);
    let is_shown = visibility != Visibility::Private;
    let public_url = is_shown.then(|| public_url(&base.0, &video.public_id));
    let url = |output: Option<&Output>| Some(output?.url(public_url.as_deref()?));
    VideoView {
        id: video.id,
        title: video.title,
        description: video.description,
        tags: serde_json::from_value(video.tags).unwrap_or_default(),
        region: video.region,
        external_id: video.external_id,
        metadata: video.metadata,
        visibility,
        task_id: video.task_id,
        tasks: tasks
            .into_iter()
            .map(|task| VideoTask {
                id: task.id,
                status: task.status.into(),
            })
            .collect(),
        published_at: video.published_at,
        created_at: video.created_at,
        updated_at: video.updated_at,
        poster_url: url(details.poster()),
        playback_url: url(details.playback()),
        embed_url: is_shown.then(|| embed_url(&base.0, &video.public_id)),
        public_url,
    }
}
