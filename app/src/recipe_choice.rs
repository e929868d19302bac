//! The choice of a recipe in an upload or a plan request: the default preset, a preset by name, or a recipe in the
//! request. Also checks that the images, credentials and tasks to which a recipe refers exist.

use crate::app::Core;
use crate::{Error, Refusal};
use anyhow::Context;
use domain::recipe::Name;
use domain::recipe_reader::{FieldError, FieldProblem, stored};
use domain::{Code, Recipe, UserId, preset};
use entity::ConnectionTrait;

/// The recipe that a request asks for.
#[derive(Clone, Debug, Default)]
pub enum RecipeChoice {
    /// The default preset of the installation.
    #[default]
    Default,
    /// A preset by name, and its recipe.
    Preset(String, Recipe),
    /// A recipe in the request.
    Own(Recipe),
}

/// A resolved choice.
pub struct ResolvedRecipe {
    /// The preset of the recipe; `None` for a recipe in the request.
    pub preset: Option<String>,
    /// The recipe.
    pub recipe: Recipe,
}

impl RecipeChoice {
    /// Looks up a preset: built-in ones first, then those of the account.
    ///
    /// # Errors
    /// `preset_unknown`.
    pub async fn preset(app: &Core, user: UserId, name: &str) -> Result<Self, Error> {
        let name = name.trim();
        let recipe = match preset::find(name) {
            Some(built_in) => Some(built_in.recipe),
            None if name.parse::<Name>().is_err() => None,
            None => entity::preset::of_user(&app.db, user, name)
                .await?
                .map(|own| stored(own.recipe).context("failed to parse a stored preset"))
                .transpose()?,
        };
        let recipe = recipe.ok_or_else(|| preset_unknown(name))?;
        Ok(Self::Preset(name.to_owned(), recipe))
    }

    /// Parses a recipe.
    ///
    /// # Errors
    /// `recipe_invalid`, which names the field.
    pub fn from_json(json: &str) -> Result<Self, Refusal> {
        read_recipe(json).map(Self::Own)
    }

    /// A choice that was resolved and stored earlier.
    ///
    /// # Errors
    /// The recipe cannot be parsed.
    pub fn stored(preset: Option<String>, recipe: entity::Json) -> Result<Self, Error> {
        let recipe = stored(recipe).context("failed to parse a stored recipe")?;
        Ok(match preset {
            Some(name) => Self::Preset(name, recipe),
            None => Self::Own(recipe),
        })
    }

    /// Replaces the choice that the earlier parts of a form have made.
    ///
    /// # Errors
    /// `preset_and_recipe` unless `earlier` is the default: a form may choose once.
    pub fn replacing(self, earlier: &Self) -> Result<Self, Refusal> {
        match earlier {
            Self::Default => Ok(self),
            Self::Preset(..) | Self::Own(_) => {
                Err(Refusal::new(Code::PresetAndRecipe).detail("accepted: one preset or one recipe, once"))
            }
        }
    }

    /// Resolves the choice to a recipe.
    ///
    /// # Errors
    /// An internal error when the configured default preset does not exist.
    pub fn resolve(self, default_preset: &str) -> Result<ResolvedRecipe, Error> {
        let (name, recipe) = match self {
            Self::Own(recipe) => return Ok(ResolvedRecipe { preset: None, recipe }),
            Self::Preset(name, recipe) => (name, recipe),
            Self::Default => {
                let found = preset::find(default_preset);
                let found = found.with_context(|| format!("there is no default preset {default_preset:?}"))?;
                (default_preset.to_owned(), found.recipe)
            }
        };
        Ok(ResolvedRecipe {
            preset: Some(name),
            recipe,
        })
    }
}

/// Parses a recipe.
///
/// # Errors
/// `recipe_invalid`, which names the field.
pub fn read_recipe(json: &str) -> Result<Recipe, Refusal> {
    Recipe::parse(json).map_err(recipe_invalid)
}

/// Checks that the account has all images, credentials and tasks to which a recipe refers. Inside
/// [`entity::user::write`], which locks the account, images and tasks continue to exist until the commit.
///
/// # Errors
/// `recipe_invalid`, which names the field.
pub async fn check_names(db: &impl ConnectionTrait, user: UserId, recipe: &Recipe) -> Result<(), Error> {
    let absent = |field: &str, why: String| {
        recipe_invalid(FieldError {
            field: field.to_owned(),
            problem: FieldProblem::Invalid(why),
        })
    };
    for (field, name) in recipe.images() {
        if *name != Name::logo() && entity::image::of_user(db, user, name).await?.is_none() {
            let why = format!("\"{name}\"; accepted: an image of the account, or logo");
            return Err(absent(field, why).into());
        }
    }
    if let Some(destination) = &recipe.destination
        && entity::credential::of_user(db, user, &destination.credential)
            .await?
            .is_none()
    {
        let why = format!("\"{}\"; accepted: a credential of the account", destination.credential);
        return Err(absent("destination.credential", why).into());
    }
    for (field, task) in recipe.clips() {
        if entity::task::of_user(db, user, task).await?.is_none() {
            return Err(absent(field, format!("{task}; accepted: a task of the account")).into());
        }
    }
    Ok(())
}

fn preset_unknown(name: &str) -> Refusal {
    let built_in: Vec<_> = preset::built_in().iter().map(|preset| preset.name).collect();
    let given: String = name.chars().take(100).collect();
    Refusal::new(Code::PresetUnknown)
        .detail(format!(
            "{given:?}; accepted: {}, or one of the account's",
            built_in.join(", ")
        ))
        .field("preset", Code::PresetUnknown)
}

fn recipe_invalid(mut error: FieldError) -> Refusal {
    // An error of the whole recipe belongs to the part or field `recipe` of the request.
    if error.field.is_empty() {
        "recipe".clone_into(&mut error.field);
    }
    let detail = match &error.problem {
        FieldProblem::Unknown(accepted) => format!("{}: unknown field; accepted: {accepted}", error.field),
        FieldProblem::Missing => format!("{}: missing", error.field),
        FieldProblem::Invalid(why) => format!("{}: {why}", error.field),
    };
    Refusal::new(Code::RecipeInvalid).detail(detail).unparsed_field(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_chooses_a_preset_or_a_recipe_but_not_both() {
        let own = || RecipeChoice::from_json(r#"{"outputs":[{"kind":"mp4"}]}"#).unwrap();
        let idrl = RecipeChoice::Preset("idrl".to_owned(), preset::find("idrl").unwrap().recipe);
        assert_eq!(own().replacing(&idrl).unwrap_err().code, Code::PresetAndRecipe);
        assert_eq!(idrl.clone().replacing(&own()).unwrap_err().code, Code::PresetAndRecipe);
        assert!(idrl.replacing(&RecipeChoice::Default).is_ok());
        assert_eq!(
            RecipeChoice::Default.resolve("web").unwrap().preset.as_deref(),
            Some("web")
        );
        assert_eq!(own().resolve("web").unwrap().preset, None);
    }

    #[test]
    fn an_invalid_recipe_names_the_field() {
        let refusal = RecipeChoice::from_json(r#"{"outputs":[{"kind":"mp4","video":{"crf":99}}]}"#).unwrap_err();
        assert_eq!(refusal.code, Code::RecipeInvalid);
        assert_eq!(refusal.fields[0].name, "outputs[0].video.crf");
        let broken = RecipeChoice::from_json(r#"{"outputs":[]"#).unwrap_err();
        assert_eq!(broken.fields[0].name, "recipe");
        assert_eq!(broken.detail.as_deref(), Some("recipe: not JSON: line 1, column 13"));
    }
}
