//! What is to be done with an upload: the default, a preset by name, or a recipe of its own.

use crate::error::{Error, Refusal};
use anyhow::Context;
use domain::recipe_reader::{FieldError, FieldProblem};
use domain::{Code, Recipe, preset};

/// The wish of the form.
#[derive(Default)]
pub(crate) struct Choice {
    preset: Option<String>,
    recipe: Option<Recipe>,
}

/// The wish as it is stored.
pub(crate) struct Chosen {
    /// The preset it came from.
    pub(crate) preset: Option<String>,
    /// The recipe.
    pub(crate) recipe: serde_json::Value,
}

impl Choice {
    /// Takes the part `preset`.
    pub(crate) fn preset(&mut self, name: &str) -> Result<(), Refusal> {
        let name = name.trim();
        if preset::find(name).is_none() {
            let accepted: Vec<_> = preset::built_in().iter().map(|preset| preset.name).collect();
            let given: String = name.chars().take(100).collect();
            let refusal = Refusal::new(Code::PresetUnknown);
            return Err(refusal
                .detail(format!("{given}; accepted: {}", accepted.join(", ")))
                .field("preset", Code::PresetUnknown));
        }
        self.preset = Some(name.to_owned());
        self.alone()
    }

    /// Takes the part `recipe`.
    pub(crate) fn recipe(&mut self, json: &str) -> Result<(), Refusal> {
        let recipe = Recipe::parse(json).map_err(of_recipe)?;
        self.recipe = Some(recipe);
        self.alone()
    }

    fn alone(&self) -> Result<(), Refusal> {
        if self.preset.is_some() && self.recipe.is_some() {
            return Err(Refusal::new(Code::PresetAndRecipe));
        }
        Ok(())
    }

    /// The recipe to store; that of the installation's default when the form named none.
    pub(crate) fn settle(self, default_preset: &str) -> Result<Chosen, Error> {
        if let Some(recipe) = self.recipe {
            let recipe = serde_json::to_value(recipe).context("failed to store a recipe")?;
            return Ok(Chosen { preset: None, recipe });
        }
        let name = self.preset.unwrap_or_else(|| default_preset.to_owned());
        let preset = preset::find(&name).with_context(|| format!("there is no default preset {name:?}"))?;
        let recipe = serde_json::to_value(preset.recipe).context("failed to store a preset")?;
        Ok(Chosen {
            preset: Some(name),
            recipe,
        })
    }
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
    fn a_form_names_a_preset_or_a_recipe_but_not_both() {
        let mut both = Choice::default();
        assert!(both.preset(" idrl\n").is_ok());
        assert_eq!(
            both.recipe(r#"{"outputs":[{"kind":"mp4"}]}"#).unwrap_err().code,
            Code::PresetAndRecipe
        );
        let unknown = Choice::default().preset("4k").unwrap_err();
        let detail = unknown.detail.unwrap();
        assert_eq!(unknown.code, Code::PresetUnknown);
        assert!(detail.starts_with("4k; accepted: web, "), "{detail}");
        assert_eq!(Choice::default().settle("web").unwrap().preset.as_deref(), Some("web"));
    }

    #[test]
    fn a_wrong_recipe_names_the_field() {
        let refusal = Choice::default()
            .recipe(r#"{"outputs":[{"kind":"mp4","video":{"crf":99}}]}"#)
            .unwrap_err();
        assert_eq!(refusal.code, Code::RecipeInvalid);
        assert_eq!(refusal.fields[0].name, "outputs[0].video.crf");
    }
}
