//! The form of an upload: a file and what is to be done with it, in any order.

use super::parts::{Part, Parts};
use super::stored::NewFile;
use super::{name, sniff};
use crate::AppState;
use crate::choice::{Choice, check_names};
use crate::error::{Error, Refusal};
use crate::once::Mark;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use domain::{Code, UserId};
use futures::{StreamExt, TryStreamExt};
use storage::Key;
use uuid::Uuid;

/// An upload form that has not been read yet.
pub(crate) struct Form(Parts);

/// What a form brought.
pub(crate) struct Upload {
    /// The file name as its user gave it.
    pub(crate) display_name: String,
    /// The same, safe in a URL.
    pub(crate) safe_name: String,
    /// The stored file.
    pub(crate) source: NewFile,
    /// What is to be done with it.
    pub(crate) choice: Choice,
    /// What the form said.
    pub(crate) mark: Mark,
}

struct File {
    given_name: String,
    source: NewFile,
}

impl FromRequest<AppState> for Form {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let limit = state.config.limits.max_upload_bytes;
        Parts::open(request, state, limit).await.map(Self)
    }
}

impl Form {
    /// Reads the form to its end and stores the file. Nothing stays in storage after a refusal.
    pub(crate) async fn receive(mut self, state: &AppState, user: UserId) -> Result<Upload, Error> {
        let mut file = None;
        match self.parts(state, user, &mut file).await {
            Ok(choice) => {
                let File { given_name, source } =
                    file.ok_or_else(|| Refusal::new(Code::FileMissing).field("file", Code::FileMissing))?;
                let (display_name, safe_name) = (name::display(&given_name), name::safe(&given_name));
                Ok(Upload {
                    display_name,
                    safe_name,
                    source,
                    choice,
                    mark: self.0.mark(),
                })
            }
            Err(error) => {
                if let Some(file) = file {
                    file.source.discard().await;
                }
                Err(error)
            }
        }
    }

    /// Reads the form to its end and stores nothing.
    pub(crate) async fn mark(self) -> Result<Mark, Error> {
        self.0.pass_over().await
    }

    /// Reads every part. Empty fields count as absent: a form in a browser sends those that nobody filled in.
    async fn parts(&mut self, state: &AppState, user: UserId, file: &mut Option<File>) -> Result<Choice, Error> {
        let (mut choice, declared) = (Choice::default(), self.0.declared_bytes);
        // Told once there is a file: of a form without one, that is what is wrong.
        let mut unknown = None;
        while let Some(part) = self.0.next().await? {
            let chosen = match part.name().as_str() {
                "file" | "video" | "fileName" if unknown.is_none() && file.is_none() => {
                    *file = received(part, state, declared).await?;
                    continue;
                }
                "file" | "video" | "fileName" => {
                    let second = Refusal::new(Code::MultipartInvalid).detail("more than one file");
                    return Err(unknown.unwrap_or(second.field("file", Code::MultipartInvalid)).into());
                }
                "preset" => match part.text(Code::PresetUnknown).await?.trim() {
                    "" => continue,
                    name => state.in_time(Choice::preset(state, user, name)).await?,
                },
                "recipe" => match part.text(Code::RecipeInvalid).await?.trim() {
                    "" => continue,
                    recipe => Choice::own(recipe)?,
                },
                _ => {
                    let refusal = part.unknown("file, preset, recipe");
                    if file.is_some() || unknown.is_some() {
                        return Err(refusal.into());
                    }
                    part.pass(refusal.clone()).await?;
                    unknown = Some(refusal);
                    continue;
                }
            };
            choice = chosen.after(&choice)?;
            // Again when the task is made; who sends the file last learns it before sending it.
            if let Choice::Preset(_, recipe) | Choice::Own(recipe) = &choice {
                state.in_time(check_names(&state.db, user, recipe)).await?;
            }
        }
        Ok(choice)
    }
}

/// The file, stored; `None` for the empty part of a browser in which no file was chosen.
async fn received(mut part: Part<'_>, state: &AppState, declared_bytes: Option<u64>) -> Result<Option<File>, Error> {
    let given_name = part.file_name();
    let mut head = BytesMut::new();
    while head.len() < sniff::PEEK_BYTES
        && let Some(chunk) = part.chunk().await?
    {
        head.extend_from_slice(&chunk);
    }
    if head.is_empty() && given_name.is_empty() {
        return Ok(None);
    }
    if head.is_empty() {
        return Err(Refusal::new(Code::FileEmpty).field("file", Code::FileEmpty).into());
    }
    if sniff::container(&head).is_none() {
        let hint = "the part has no file name (curl sends a file with `-F file=@PATH`); ";
        let hint = if given_name.is_empty() { hint } else { "" };
        let accepted = "accepted: MP4, QuickTime, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, FLV, MXF, DV, Ogg, WAV, MP3, AAC, \
                        FLAC, ASF, GIF, APNG";
        return Err(Refusal::new(Code::NotMedia)
            .detail(format!("{hint}{accepted}"))
            .field("file", Code::NotMedia)
            .into());
    }
    let rest = futures::stream::try_unfold(part, async |mut part| {
        Ok(part.chunk().await?.map(|chunk| (chunk, part)))
    });
    let whole = futures::stream::iter([Ok(head.freeze())])
        .chain(rest)
        .inspect_ok(|chunk: &Bytes| {
            metrics::counter!("rushes_upload_bytes_total").increment(chunk.len() as u64);
        });
    let limit = state.config.limits.max_upload_bytes;
    let source = NewFile::put(state, Key::source(Uuid::new_v4()), whole, declared_bytes, limit).await?;
    Ok(Some(File { given_name, source }))
}
