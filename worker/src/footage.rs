//! What a task is made from: its source, and the clips and images that its recipe names. First as rows, then as files.

use crate::{Env, store};
use domain::plan::Clips;
use domain::protocol::Image;
use domain::recipe::Name;
use domain::{Code, Failure, FailureKind, Probe, Recipe};
use entity::{image, source, task};
use std::path::{Path, PathBuf};
use storage::Key;

/// The rows behind the files.
pub(crate) struct Footage {
    /// The source, then the clips of intro and outro.
    pub(crate) sources: Vec<source::Model>,
    /// The images of the account that the recipe names; the built-in one is none.
    pub(crate) images: Vec<image::Model>,
    /// Whether the first clip is the intro.
    intro: bool,
}

/// The files, ready for a child.
#[derive(Clone, Default)]
pub(crate) struct Files {
    /// In the order of the rows.
    pub(crate) sources: Vec<PathBuf>,
    /// Under the names of the recipe.
    pub(crate) images: Vec<Image>,
}

/// Finds what a task is made from.
///
/// # Errors
/// [`Code::ClipGone`] and [`Code::ImageNotFound`] when something was removed since the task was made, and
/// [`Code::TaskNotFound`] when the task itself was.
pub(crate) async fn gather(env: &Env, task: &task::Model, recipe: &Recipe) -> Result<Footage, Failure> {
    let source = store::answer(source::find(&env.db, task)).await?;
    let gone = || Failure::new(FailureKind::Postponed, Code::TaskNotFound, "the task was removed");
    let mut sources = vec![source.ok_or_else(gone)?];
    for (field, id) in recipe.clips() {
        let clip = store::answer(task::with_source(&env.db, task.owner(), id)).await?;
        let (_, clip) = clip.ok_or_else(|| Failure::input(Code::ClipGone, format!("{field} {id}")))?;
        sources.push(clip);
    }
    let mut images: Vec<image::Model> = Vec::new();
    for (field, name) in recipe.images() {
        let known = images.iter().any(|image| image.name == name.as_str());
        match store::answer(image::of_user(&env.db, task.owner(), name)).await? {
            Some(image) if !known => images.push(image),
            None if *name != Name::logo() => {
                return Err(Failure::input(Code::ImageNotFound, format!("{field} {name}")));
            }
            _ => {}
        }
    }
    Ok(Footage {
        sources,
        images,
        intro: recipe.bumper.as_ref().is_some_and(|bumper| bumper.intro_task.is_some()),
    })
}

impl Footage {
    /// Brings everything to this machine: in place when storage is a directory, else copied into the scratch directory.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) async fn fetch(&self, env: &Env, scratch: &Path) -> Result<Files, Failure> {
        let mut sources = Vec::with_capacity(self.sources.len());
        for (place, row) in self.sources.iter().enumerate() {
            sources.push(fetch(env, &row.key, || scratch.join(format!("source-{place}"))).await?);
        }
        let mut images = Vec::with_capacity(self.images.len());
        for (place, row) in self.images.iter().enumerate() {
            images.push(Image {
                name: row.name.parse().map_err(|error| store::trouble(&error))?,
                path: fetch(env, &row.key, || scratch.join(format!("image-{place}"))).await?,
            });
        }
        Ok(Files { sources, images })
    }

    /// The facts of the clips, given those of all sources in their order.
    pub(crate) fn clips<'a>(&self, probes: &'a [Probe]) -> Clips<'a> {
        let (first, second) = (probes.get(1), probes.get(2));
        match self.intro {
            true => Clips {
                intro: first,
                outro: second,
            },
            false => Clips {
                intro: None,
                outro: first,
            },
        }
    }
}

async fn fetch(env: &Env, key: &str, copy: impl FnOnce() -> PathBuf) -> Result<PathBuf, Failure> {
    let key = Key::parse(key).map_err(|error| store::trouble(&error))?;
    if let Some(path) = env.storage.local_path(&key) {
        return Ok(path);
    }
    let path = copy();
    let fetched = env.storage.get_to_file(&key, &path).await;
    fetched.map_err(|error| store::failure(&error, FailureKind::Infrastructure))?;
    Ok(path)
}
