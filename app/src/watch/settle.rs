//! The end of a watched file: it is moved to `done/`, or to `failed/` with a file that tells the error.

use super::{Held, Watcher};
use crate::Error;
use domain::{Status, TaskId};
use entity::task;
use entity::watched_file::State;
use serde_json::{Value, json};
use storage::{DONE, FAILED, FolderFile};
use uuid::Uuid;

/// Maximum length of a name in bytes, so that the number before it and the ending after it fit into a file name.
const NAME_BYTES: usize = 200;

impl Watcher {
    /// Ends a file whose task has ended, or which was refused.
    pub(super) async fn settle(&self, held: &Held, file: &FolderFile) -> Result<(), Error> {
        let moved = self.while_held(held, Box::pin(self.move_away(held, file))).await?;
        let Some(target) = moved else { return Ok(()) };
        let app = &self.app;
        app.with_timeout(held.lease.moved(&app.db)).await?;
        tracing::info!(key = file.key, moved_to = target, "moved a watched file");
        Ok(())
    }

    /// Moves a file, and returns where to; `None` if another watcher has the row, or has moved the file since it was
    /// listed. May be repeated after a crash at any step.
    async fn move_away(&self, held: &Held, file: &FolderFile) -> Result<Option<String>, Error> {
        let (app, folder) = (&self.app, &self.watch.folder);
        if !folder.has(file).await? {
            return Ok(None);
        }
        let error = self.error_of(held).await?;
        let mut target = match &held.row.target {
            // A file that was moved before and is here again gets a new place.
            Some(target) if held.row.state != State::Moved => target.clone(),
            _ => self.free_target(held, file, error.is_some()).await?,
        };
        loop {
            if !app.with_timeout(held.lease.aim(&app.db, &target)).await? {
                return Ok(None);
            }
            if let Some(error) = &error {
                folder
                    .write(&error_file(&target), error.to_string().into_bytes())
                    .await?;
            }
            if folder.move_to(file, &target).await? {
                return Ok(Some(target));
            }
            // Another program has put a file there in the meantime.
            let name = format!("{}-{}", Uuid::new_v4().simple(), fitting(&file.name));
            target = format!("{}/{name}", below(error.is_some()));
        }
    }

    /// The content of the file about the error; `None` for a file whose task was processed.
    async fn error_of(&self, held: &Held) -> Result<Option<Value>, Error> {
        let row = &held.row;
        let Some(id) = row.task_id else {
            return Ok(Some(
                json!({"code": row.error_code, "detail": row.error_detail, "task_id": null, "status": null}),
            ));
        };
        let task = self.app.with_timeout(task::by_id(&self.app.db, TaskId(id))).await?;
        let Some(task) = task else {
            let code = domain::Code::TaskNotFound.as_str();
            return Ok(Some(
                json!({"code": code, "detail": null, "task_id": id, "status": "deleted"}),
            ));
        };
        let status = Status::from(task.status);
        let error = json!({
            "code": task.error_code,
            "detail": task.error_detail,
            "task_id": id,
            "status": status.as_str(),
        });
        Ok((status != Status::Processed).then_some(error))
    }

    /// A path that no file has: with the name of the file, or with a number before it.
    async fn free_target(&self, held: &Held, file: &FolderFile, has_failed: bool) -> Result<String, Error> {
        let (folder, below, name) = (&self.watch.folder, below(has_failed), fitting(&file.name));
        for candidate in [format!("{below}/{name}"), format!("{below}/{}-{name}", held.row.id)] {
            let is_taken =
                folder.exists(&candidate).await? || has_failed && folder.exists(&error_file(&candidate)).await?;
            if !is_taken {
                return Ok(candidate);
            }
        }
        Ok(format!("{below}/{}-{name}", Uuid::new_v4().simple()))
    }
}

const fn below(has_failed: bool) -> &'static str {
    if has_failed { FAILED } else { DONE }
}

fn error_file(target: &str) -> String {
    format!("{target}.error.json")
}

/// The end of a name, which fits into a file name with what is added.
fn fitting(name: &str) -> &str {
    let cut = name.len().saturating_sub(NAME_BYTES);
    let start = (cut..name.len()).find(|at| name.is_char_boundary(*at));
    start.and_then(|start| name.get(start..)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_extension() {
        assert_eq!(fitting("clip.mp4"), "clip.mp4");
        let long = format!("{}.mp4", "ñ".repeat(120));
        let cut = fitting(&long);
        assert!(cut.len() <= NAME_BYTES && cut.ends_with("ñ.mp4"), "{cut}");
    }
}
