//! The inputs of a task: its source, and the clips and images that its recipe names. First as rows, then as files.

use crate::database::query;
use crate::env::Env;
use crate::failure;
use crate::session::InputFiles;
use domain::plan::Clips;
use domain::protocol::Image;
use domain::recipe::{Destination, Name};
use domain::{Code, Failure, Probe, Recipe};
use entity::{credential, image, source, task};
use std::path::{Path, PathBuf};
use storage::Key;

/// The rows of the inputs.
pub(crate) struct Inputs {
    /// The source of the task, then the sources of the intro and outro clips.
    pub(crate) sources: Vec<source::Model>,
    /// Images of the account. The built-in logo has no row.
    pub(crate) images: Vec<image::Model>,
    /// The credential of the destination.
    pub(crate) credential: Option<credential::Model>,
    /// True when the first clip is the intro, false when it is the outro.
    has_intro: bool,
}

impl Inputs {
    /// Loads the rows.
    ///
    /// # Errors
    /// [`Code::ClipGone`], [`Code::ImageNotFound`] and [`Code::CredentialNotFound`] when a clip, an image or a
    /// credential was removed after the task was created;
    /// [`Code::Unavailable`] when the task itself was: the attempt ends without a result.
    pub(crate) async fn load(env: &Env, task: &task::Model, recipe: &Recipe) -> Result<Self, Failure> {
        let source = query(source::find(&env.db, task)).await?;
        let removed = || failure::postponed("the task was removed");
        let mut sources = vec![source.ok_or_else(removed)?];
        for (field, id) in recipe.clips() {
            let clip = query(task::with_source(&env.db, task.owner(), id)).await?;
            let (_, clip) = clip.ok_or_else(|| Failure::new(Code::ClipGone, format!("{field} {id}")))?;
            sources.push(clip);
        }
        let mut images: Vec<image::Model> = Vec::new();
        for (field, name) in recipe.images() {
            let is_loaded = images.iter().any(|image| image.name == name.as_str());
            match query(image::of_user(&env.db, task.owner(), name)).await? {
                Some(image) if !is_loaded => images.push(image),
                None if *name != Name::logo() => {
                    return Err(Failure::new(Code::ImageNotFound, format!("{field} {name}")));
                }
                _ => {}
            }
        }
        let credential = match &recipe.destination {
            None => None,
            Some(Destination { credential: name, .. }) => {
                let found = query(credential::of_user(&env.db, task.owner(), name)).await?;
                Some(found.ok_or_else(|| Failure::new(Code::CredentialNotFound, name.to_string()))?)
            }
        };
        Ok(Self {
            sources,
            images,
            credential,
            has_intro: recipe.bumper.as_ref().is_some_and(|bumper| bumper.intro_task.is_some()),
        })
    }

    /// Makes all files available on this machine: uses them in place when storage is a directory, or else downloads
    /// them into `scratch`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) async fn fetch(&self, env: &Env, scratch: &Path) -> Result<InputFiles, Failure> {
        let mut sources = Vec::with_capacity(self.sources.len());
        for (index, row) in self.sources.iter().enumerate() {
            sources.push(fetch(env, &row.key, || scratch.join(format!("source-{index}"))).await?);
        }
        let mut images = Vec::with_capacity(self.images.len());
        for (index, row) in self.images.iter().enumerate() {
            images.push(Image {
                name: row.name.parse().map_err(|error| failure::internal(&error))?,
                path: fetch(env, &row.key, || scratch.join(format!("image-{index}"))).await?,
            });
        }
        Ok(InputFiles { sources, images })
    }

    /// The probes of the clips. `probes` are those of all sources, in their order.
    pub(crate) fn clips<'a>(&self, probes: &'a [Probe]) -> Clips<'a> {
        let (first, second) = (probes.get(1), probes.get(2));
        if self.has_intro {
            Clips {
                intro: first,
                outro: second,
            }
        } else {
            Clips {
                intro: None,
                outro: first,
            }
        }
    }
}

/// The local path of a stored file; downloads it to `download_path` when storage is not a directory.
async fn fetch(env: &Env, key: &str, download_path: impl FnOnce() -> PathBuf) -> Result<PathBuf, Failure> {
    let key = Key::parse(key).map_err(|error| failure::internal(&error))?;
    if let Some(path) = env.storage.local_path(&key) {
        return Ok(path);
    }
    let path = download_path();
    let downloaded = env.storage.get_to_file(&key, &path).await;
    downloaded.map_err(|error| failure::storage(&error))?;
    Ok(path)
}
