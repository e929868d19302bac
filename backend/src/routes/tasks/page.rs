//! Which tasks a list shows.

use crate::error::Refusal;
use domain::{Code, Status, TaskId};
use entity::task;
use utoipa::IntoParams;

/// Most tasks of one page; a client that asks for more, or does not say, finds the rest behind `next_cursor`.
pub(super) const PAGE_MAX: u64 = 1_000;

/// Which tasks to list.
#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// At most this many, from 1 on; never more than 1000.
    #[param(value_type = Option<u64>, minimum = 1)]
    max: Option<String>,
    /// 0: smallest id first (the default); 1: largest id first.
    #[param(value_type = Option<u8>, minimum = 0, maximum = 1)]
    order: Option<String>,
    /// Only tasks of this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListQuery {
    /// The parameters of a query; unknown ones are ignored.
    ///
    /// # Errors
    /// A parameter that is given twice.
    pub(super) fn of(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "max" => &mut query.max,
                "order" => &mut query.order,
                "status" => &mut query.status,
                "cursor" => &mut query.cursor,
                _ => continue,
            };
            if let Some(before) = place.replace(value) {
                return Err(wrong(&name, &before, "the parameter once"));
            }
        }
        Ok(query)
    }

    /// In the order of the contract; the first wrong one answers.
    pub(super) fn check(&self) -> Result<task::Page, Refusal> {
        let max = self.max.as_deref().map(|text| {
            text.parse()
                .ok()
                .filter(|max| *max >= 1)
                .ok_or_else(|| wrong("max", text, "1 and more"))
        });
        let descending = match self.order.as_deref() {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(text) => Err(wrong("order", text, "0 or 1")),
        };
        let status = self.status.as_deref().map(|text| {
            let known = Status::ALL.into_iter().find(|status| status.as_str() == text);
            known.ok_or_else(|| wrong("status", text, &Status::ALL.map(Status::as_str).join(", ")))
        });
        let after = self.cursor.as_deref();
        let after = after.map(|text| {
            text.parse::<TaskId>()
                .map_err(|_| wrong("cursor", text, "a next_cursor"))
        });
        Ok(task::Page {
            limit: Some(max.transpose()?.unwrap_or(PAGE_MAX).min(PAGE_MAX)),
            descending: descending?,
            status: status.transpose()?,
            after: after.transpose()?,
        })
    }
}

fn wrong(name: &str, value: &str, accepted: &str) -> Refusal {
    let given: String = value.chars().take(100).collect();
    Refusal::new(Code::QueryInvalid)
        .detail(format!("{name}={given}; accepted: {accepted}"))
        .field(name, Code::QueryInvalid)
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
    fn a_page_is_bounded_and_the_first_wrong_parameter_answers() {
        assert_eq!(checked("-", "-"), Ok((Some(PAGE_MAX), false)));
        assert_eq!(checked("1", "1"), Ok((Some(1), true)));
        assert_eq!(checked("9999999", "0"), Ok((Some(PAGE_MAX), false)));
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
        let refused = ListQuery::of(pairs(&["order", "max", "max"])).map_err(|refusal| refusal.fields[0].name.clone());
        assert_eq!(refused.err().as_deref(), Some("max"));
        let read = ListQuery::of(pairs(&["x", "x", "max"])).unwrap();
        assert_eq!((read.max.as_deref(), read.order), (Some("1"), None));
    }
}
