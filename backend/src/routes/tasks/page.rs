//! The query parameters of the task list: filter, order and page.

use crate::error::Refusal;
use crate::openapi::Count;
use crate::routes::parameters::invalid_parameter;
use app::tasks::PAGE_MAX;
use domain::{Status, TaskId};
use entity::task;
use std::num::IntErrorKind;
use utoipa::IntoParams;

/// The query parameters of the task list.
#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Maximum number of tasks on the page, 1 or more; values above 1000 count as 1000.
    #[param(value_type = Option<Count>, inline)]
    max: Option<String>,
    /// Order by id: 0 is ascending (the default), 1 is descending.
    #[param(value_type = Option<u8>, minimum = 0, maximum = 1)]
    order: Option<String>,
    /// List only tasks with this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// The `next_cursor` of the previous page.
    #[param(pattern = "^[0-9]+$")]
    cursor: Option<String>,
}

impl ListQuery {
    /// Reads the parameters; unknown ones are ignored.
    ///
    /// # Errors
    /// `query_invalid` for a parameter that is given twice.
    pub(super) fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let parameter = match name.as_str() {
                "max" => &mut query.max,
                "order" => &mut query.order,
                "status" => &mut query.status,
                "cursor" => &mut query.cursor,
                _ => continue,
            };
            if let Some(first) = parameter.replace(value) {
                return Err(invalid_parameter(&name, &first, "the parameter once"));
            }
        }
        Ok(query)
    }

    /// Checks the parameters in the order `max`, `order`, `status`, `cursor`.
    ///
    /// # Errors
    /// `query_invalid` for the first invalid one.
    pub(super) fn check(&self) -> Result<task::Page, Refusal> {
        let max = self.max.as_deref().map(|text| {
            let max = match text.parse::<u64>() {
                Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(u64::MAX),
                parsed => parsed.ok(),
            };
            max.filter(|max| *max >= 1)
                .ok_or_else(|| invalid_parameter("max", text, "a whole number, 1 or more"))
        });
        let descending = match self.order.as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) => Err(invalid_parameter("order", text, "0 or 1")),
        };
        let status = self.status.as_deref().map(|text| {
            let known = Status::ALL.into_iter().find(|status| status.as_str() == text);
            known.ok_or_else(|| invalid_parameter("status", text, &Status::ALL.map(Status::as_str).join(", ")))
        });
        let after = self.cursor.as_deref();
        let after = after.map(|text| {
            text.parse::<TaskId>()
                .map_err(|_| invalid_parameter("cursor", text, "the next_cursor of a page"))
        });
        Ok(task::Page {
            limit: Some(max.transpose()?.unwrap_or(PAGE_MAX).min(PAGE_MAX)),
            descending: descending?,
            status: status.transpose()?,
            after: after.transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(max: &str, order: &str) -> Result<(Option<u64>, bool), String> {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        let query = ListQuery {
            max: some(max),
            order: some(order),
            status: None,
            cursor: None,
        };
        query
            .check()
            .map(|page| (page.limit, page.descending))
            .map_err(|refusal| refusal.fields[0].name.clone())
    }

    #[test]
    fn a_page_is_bounded_and_the_first_invalid_parameter_is_reported() {
        assert_eq!(checked("-", "-"), Ok((Some(PAGE_MAX), false)));
        assert_eq!(checked("1", "1"), Ok((Some(1), true)));
        assert_eq!(checked("9999999", "0"), Ok((Some(PAGE_MAX), false)));
        assert_eq!(checked("9999999999999999999999", "0"), Ok((Some(PAGE_MAX), false)));
        for (max, order, field) in [
            ("0", "x", "max"),
            ("-1", "-", "max"),
            ("x", "-", "max"),
            ("", "-", "max"),
            ("1", "2", "order"),
            ("1", "", "order"),
        ] {
            assert_eq!(checked(max, order), Err(field.to_owned()), "{max} {order}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_named_and_an_unknown_one_ignored() {
        let pairs = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        let refused =
            ListQuery::from_pairs(pairs(&["order", "max", "max"])).map_err(|refusal| refusal.fields[0].name.clone());
        assert_eq!(refused.err().as_deref(), Some("max"));
        let read = ListQuery::from_pairs(pairs(&["x", "x", "max"])).unwrap();
        assert_eq!((read.max.as_deref(), read.order), (Some("1"), None));
    }
}
