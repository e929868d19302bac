//! What is to be done with a source: the default, a preset by name, or a recipe of its own; and whether everything that
//! it names is there.

use crate::AppState;
use crate::error::{Error, Refusal};
use anyhow::Context;
use domain::recipe::Name;
use domain::recipe_reader::{FieldError, FieldProblem, stored};
use domain::{Code, Recipe, UserId, preset};
use sea_orm::ConnectionTrait;

/// A wish.
#[derive(Clone, Debug, Default)]
pub(crate) enum Choice {
    /// The default of the installation.
    #[default]
    Default,
    /// A preset by its name.
    Preset(String, Recipe),
    /// A recipe of its own.
    Own(Recipe),
}

/// A wish that is settled.
pub(crate) struct Chosen {
    /// The preset it came from.
    pub(crate) preset: Option<String>,
    /// The recipe.
    pub(crate) recipe: Recipe,
}

impl Choice {
    /// A preset of the account, or one that every installation has.
    pub(crate) async fn preset(state: &AppState, user: UserId, name: &str) -> Result<Self, Error> {
        let name = name.trim();
        let recipe = match preset::find(name) {
            Some(built_in) => Some(built_in.recipe),
            None if name.parse::<Name>().is_err() => None,
            None => entity::preset::of_user(&state.db, user, name)
                .await?
                .map(|own| stored(own.recipe).context("a stored preset cannot be read"))
                .transpose()?,
        };
        let recipe = recipe.ok_or_else(|| unknown(name))?;
        Ok(Self::Preset(name.to_owned(), recipe))
    }

    /// A recipe as JSON.
    pub(crate) fn own(json: &str) -> Result<Self, Refusal> {
        read_recipe(json).map(Self::Own)
    }

    /// This wish, unless there was one already.
    pub(crate) fn after(self, earlier: &Self) -> Result<Self, Refusal> {
        match earlier {
            Self::Default => Ok(self),
            Self::Preset(..) | Self::Own(_) => {
                Err(Refusal::new(Code::PresetAndRecipe).detail("accepted: one preset or one recipe, once"))
            }
        }
    }

    /// The recipe to work by; that of the installation's default when nothing was chosen.
    pub(crate) fn settle(self, default_preset: &str) -> Result<Chosen, Error> {
        let (name, recipe) = match self {
            Self::Own(recipe) => return Ok(Chosen { preset: None, recipe }),
            Self::Preset(name, recipe) => (name, recipe),
            Self::Default => {
                let found = preset::find(default_preset);
                let found = found.with_context(|| format!("there is no default preset {default_preset:?}"))?;
                (default_preset.to_owned(), found.recipe)
            }
        };
        Ok(Chosen {
            preset: Some(name),
            recipe,
        })
    }
}

/// Reads a recipe; a refusal names the field.
pub(crate) fn read_recipe(json: &str) -> Result<Recipe, Refusal> {
    Recipe::parse(json).map_err(of_recipe)
}

/// Checks that the account has everything that a recipe names; in [`entity::user::write`] it stays until the commit.
pub(crate) async fn check_names(db: &impl ConnectionTrait, user: UserId, recipe: &Recipe) -> Result<(), Error> {
    let absent = |field: &str, why: String| {
        of_recipe(FieldError {
            field: field.to_owned(),
            problem: FieldProblem::Invalid(why),
        })
    };
    for (field, name) in recipe.images() {
        if *name != Name::logo() && entity::image::of_user(db, user, name).await?.is_none() {
            return Err(absent(field, format!("{name}; accepted: an image of the account, or logo")).into());
        }
    }
    for (field, task) in recipe.clips() {
        if entity::task::of_user(db, user, task).await?.is_none() {
            return Err(absent(field, format!("{task}; accepted: a task of the account")).into());
        }
    }
    Ok(())
}

fn unknown(name: &str) -> Refusal {
    let built_in: Vec<_> = preset::built_in().iter().map(|preset| preset.name).collect();
    let given: String = name.chars().take(100).collect();
    Refusal::new(Code::PresetUnknown)
        .detail(format!(
            "{given}; accepted: {}, or one of the account's",
            built_in.join(", ")
        ))
        .field("preset", Code::PresetUnknown)
}

fn of_recipe(error: FieldError) -> Refusal {
    let detail = match &error.problem {
        FieldProblem::Unknown(accepted) => format!("{}: unknown field; accepted: {accepted}", error.field),
        FieldProblem::Missing => format!("{}: missing", error.field),
        FieldProblem::Invalid(why) => format!("{}: {why}", error.field),
    };
    Refusal::new(Code::RecipeInvalid)
        .detail(detail.trim_start_matches(": "))
        .unread(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_preset_or_a_recipe_but_not_both() {
        let own = || Choice::own(r#"{"outputs":[{"kind":"mp4"}]}"#).unwrap();
        let idrl = Choice::Preset("idrl".to_owned(), preset::find("idrl").unwrap().recipe);
        assert_eq!(own().after(&idrl).unwrap_err().code, Code::PresetAndRecipe);
        assert_eq!(idrl.clone().after(&own()).unwrap_err().code, Code::PresetAndRecipe);
        assert!(idrl.after(&Choice::Default).is_ok());
        assert_eq!(Choice::Default.settle("web").unwrap().preset.as_deref(), Some("web"));
        assert_eq!(own().settle("web").unwrap().preset, None);
    }

    #[test]
    fn a_wrong_recipe_names_the_field() {
        let refusal = Choice::own(r#"{"outputs":[{"kind":"mp4","video":{"crf":99}}]}"#).unwrap_err();
        assert_eq!(refusal.code, Code::RecipeInvalid);
        assert_eq!(refusal.fields[0].name, "outputs[0].video.crf");
    }
}
