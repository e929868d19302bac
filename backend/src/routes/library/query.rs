//! Query parameters of lists and searches.

use crate::error::Refusal;
use crate::routes::parameters::{invalid_parameter, parameter};
use app::library::{Facet, SearchRequest, facet_of};
use chrono::DateTime;
use domain::library::{Filter, FilterInvalid, PageSize, Query, Scope, Sort};
use domain::search::{self, Search};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

/// The parameters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(
    dead_code,
    reason = "read as pairs, which name a parameter that is given twice; this documents them"
)]
pub(crate) struct ListParameters {
    /// Maximum number of videos on the page; 20 when absent.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 100)]
    max: Option<String>,
    /// The `next_cursor` of the previous page, with the same other parameters.
    #[param(min_length = 1, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// The order: `newest`, `votes`, `views`, `duration`, and in searches `relevance`, which is the default there.
    #[param(value_type = Option<Sort>)]
    sort: Option<String>,
    /// Only videos with this tag. May be given up to ten times; then all are required.
    #[param(value_type = Option<Vec<FilterText>>, inline, max_items = 10)]
    tag: Option<Vec<String>>,
    /// Only videos of this region.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")]
    region: Option<String>,
    /// Only videos of the account with this name.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")]
    owner: Option<String>,
    /// Minimum duration in seconds.
    #[param(value_type = Option<f64>, minimum = 0)]
    min_duration_s: Option<String>,
    /// Maximum duration in seconds.
    #[param(value_type = Option<f64>, minimum = 0)]
    max_duration_s: Option<String>,
    /// Only videos that were published at this time or later (RFC 3339).
    #[param(value_type = Option<DateTime<chrono::Utc>>)]
    published_after: Option<String>,
    /// Only videos that were published before this time (RFC 3339).
    #[param(value_type = Option<DateTime<chrono::Utc>>)]
    published_before: Option<String>,
}

/// The parameters of a search, besides those of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read as pairs; this documents them")]
pub(crate) struct SearchParameters {
    /// The words, 1 to 200 characters. At most 16 words count.
    #[param(min_length = 1, max_length = 200, pattern = "^[^\\x00]*[^\\s\\x00][^\\x00]*$")]
    q: String,
    /// `true` while the user is typing: the last word is the beginning of a word.
    #[param(value_type = Option<bool>)]
    typing: Option<String>,
    /// The properties whose most frequent values are counted: `tags`, `region`, or both with a comma between them.
    #[param(pattern = "^(tags|region)(,(tags|region))*$")]
    facets: Option<String>,
}

/// The schema of a text of a filter.
struct FilterText;

impl PartialSchema for FilterText {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let text = text.min_length(Some(1)).max_length(Some(200));
        text.pattern(Some("^[^\\x00-\\x1f\\x7f-\\x9f]+$")).into()
    }
}

impl ToSchema for FilterText {}

/// Reads the parameters of a list: the query and the cursor.
///
/// # Errors
/// `query_invalid`.
pub(super) fn list_request(pairs: &[(String, String)], scope: Scope) -> Result<(Query, Option<&str>), Refusal> {
    let query = query(pairs, scope, Sort::Newest)?;
    if query.sort == Sort::Relevance {
        return Err(invalid_parameter("sort", "relevance", "newest, votes, views, duration"));
    }
    Ok((query, parameter(pairs, "cursor")?))
}

/// Reads the parameters of a search.
///
/// # Errors
/// `query_invalid`.
pub(super) fn search_request(pairs: &[(String, String)], scope: Scope) -> Result<SearchRequest, Refusal> {
    let text = parameter(pairs, "q")?.unwrap_or_default();
    let is_typing = match parameter(pairs, "typing")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(invalid_parameter("typing", other, "true or false")),
    };
    let search = Search::parse(text, is_typing).map_err(|refused| {
        let accepted = match refused {
            search::Refusal::Empty | search::Refusal::TooLong => "1 to 200 characters",
            search::Refusal::Nul => "text without NUL characters",
            search::Refusal::NoWord => "at least one word that must occur",
        };
        invalid_parameter("q", text, accepted)
    })?;
    Ok(SearchRequest {
        search,
        query: query(pairs, scope, Sort::Relevance)?,
        cursor: parameter(pairs, "cursor")?.map(str::to_owned),
        facets: facets(parameter(pairs, "facets")?)?,
    })
}

fn query(pairs: &[(String, String)], scope: Scope, sort: Sort) -> Result<Query, Refusal> {
    let page = match parameter(pairs, "max")? {
        None => PageSize::default(),
        Some(text) => {
            let size = text.parse().ok().and_then(PageSize::new);
            size.ok_or_else(|| invalid_parameter("max", text, "a whole number from 1 to 100"))?
        }
    };
    let sort = match parameter(pairs, "sort")? {
        None => sort,
        Some(word) => {
            let words = Sort::ALL.map(Sort::as_str).join(", ");
            Sort::from_word(word).ok_or_else(|| invalid_parameter("sort", word, &words))?
        }
    };
    Ok(Query {
        scope,
        filter: filter(pairs)?,
        sort,
        page,
    })
}

fn filter(pairs: &[(String, String)]) -> Result<Filter, Refusal> {
    let text = |name| parameter(pairs, name)?.map(|text| filter_text(name, text)).transpose();
    let tags = pairs.iter().filter(|(name, _)| name == "tag");
    let filter = Filter {
        tags: tags
            .map(|(name, tag)| filter_text(name, tag))
            .collect::<Result<_, _>>()?,
        region: text("region")?,
        owner: text("owner")?,
        min_duration_ms: duration_ms(pairs, "min_duration_s")?,
        max_duration_ms: duration_ms(pairs, "max_duration_s")?,
        published_after_ms: time_ms(pairs, "published_after")?,
        published_before_ms: time_ms(pairs, "published_before")?,
    };
    filter.check().map_err(|invalid| match invalid {
        // The texts were checked above, so only the number of tags is left.
        FilterInvalid::TooManyTags | FilterInvalid::Text => {
            invalid_parameter("tag", &filter.tags.len().to_string(), "up to 10 tags")
        }
        FilterInvalid::Duration => {
            let given = parameter(pairs, "max_duration_s").ok().flatten().unwrap_or_default();
            invalid_parameter("max_duration_s", given, "min_duration_s or more")
        }
        FilterInvalid::Published => {
            let given = parameter(pairs, "published_before").ok().flatten().unwrap_or_default();
            invalid_parameter("published_before", given, "a time after published_after")
        }
    })?;
    Ok(filter)
}

/// Checks one text by the rule of [`Filter::check`], so that the refusal names its parameter.
fn filter_text(name: &str, text: &str) -> Result<String, Refusal> {
    let alone = Filter {
        tags: vec![text.to_owned()],
        ..Filter::default()
    };
    let checked = alone.check().map(|()| text.to_owned());
    checked.map_err(|_| invalid_parameter(name, text, "1 to 200 characters in one line"))
}

/// A number of seconds with up to three decimals, in milliseconds.
fn duration_ms(pairs: &[(String, String)], name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = parameter(pairs, name)? else {
        return Ok(None);
    };
    let is_number =
        !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_number);
    let ms = seconds.map(|seconds| std::time::Duration::from_secs_f64(seconds).as_millis());
    let ms = ms.and_then(|ms| i64::try_from(ms).ok());
    ms.map(Some)
        .ok_or_else(|| invalid_parameter(name, text, "a number of seconds, such as 90 or 1.5"))
}

fn time_ms(pairs: &[(String, String)], name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = parameter(pairs, name)? else {
        return Ok(None);
    };
    let time = DateTime::parse_from_rfc3339(text);
    let time = time.map_err(|_| invalid_parameter(name, text, "RFC 3339, such as 2026-01-31T12:00:00Z"))?;
    Ok(Some(time.timestamp_millis()))
}

fn facets(text: Option<&str>) -> Result<Vec<Facet>, Refusal> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut facets = Vec::new();
    for name in text.split(',') {
        let facet = facet_of(name.trim());
        let facet = facet.ok_or_else(|| invalid_parameter("facets", text, "tags, region, or tags,region"))?;
        if !facets.contains(&facet) {
            facets.push(facet);
        }
    }
    Ok(facets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn parameters_become_a_query() {
        let given = pairs(&[
            ("max", "7"),
            ("sort", "votes"),
            ("tag", "a"),
            ("tag", "b,c"),
            ("min_duration_s", "1.5"),
            ("published_after", "2026-01-31T12:00:00+01:00"),
            ("cursor", "x"),
        ]);
        let (query, cursor) = list_request(&given, Scope::Public).unwrap();
        assert_eq!((query.page.get(), query.sort, cursor), (7, Sort::Votes, Some("x")));
        assert_eq!(query.filter.tags, ["a", "b,c"]);
        assert_eq!(query.filter.min_duration_ms, Some(1_500));
        assert_eq!(query.filter.published_after_ms, Some(1_769_857_200_000));
        let request = search_request(&pairs(&[("q", "sol"), ("facets", "tags,region,tags")]), Scope::Public).unwrap();
        assert_eq!(
            (request.query.sort, request.facets),
            (Sort::Relevance, vec![Facet::Tags, Facet::Region])
        );
    }

    #[test]
    fn an_invalid_parameter_is_named() {
        let refused = |given: &[(&str, &str)]| {
            let given = pairs(given);
            let list = list_request(&given, Scope::Public).err();
            let refusal = list.or_else(|| search_request(&given, Scope::Public).err()).unwrap();
            assert_eq!(refusal.code, domain::Code::QueryInvalid);
            refusal.fields[0].name.clone()
        };
        let long = "x".repeat(201);
        for (name, value) in [
            ("max", "0"),
            ("max", "101"),
            ("max", "-1"),
            ("max", "abc"),
            ("sort", "foo"),
            ("sort", "relevance"),
            ("tag", "a\nb"),
            ("region", ""),
            ("owner", long.as_str()),
            ("min_duration_s", "-1"),
            ("min_duration_s", "1e3"),
            ("min_duration_s", "nan"),
            ("min_duration_s", ""),
            ("published_after", "yesterday"),
            ("facets", "votes"),
            ("typing", "1"),
            ("q", "-word"),
            ("q", "\""),
            ("q", "a\0"),
            ("q", ""),
        ] {
            assert_eq!(refused(&[(name, value), ("q", "sol")]), name, "{name}={value}");
        }
        assert_eq!(refused(&[("max", "1"), ("max", "2")]), "max");
        assert_eq!(refused(&[("tag", "a"); 11]), "tag");
        assert_eq!(
            refused(&[("min_duration_s", "2"), ("max_duration_s", "1")]),
            "max_duration_s"
        );
        let same = "2026-01-31T12:00:00Z";
        assert_eq!(
            refused(&[("published_after", same), ("published_before", same)]),
            "published_before"
        );
    }
}
