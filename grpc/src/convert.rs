//! Messages to queries, and entries of the catalog to messages.

use crate::v1;
use app::Refusal;
use app::library::{
    Details, FacetCounts, Freshness, Output, SearchRequest, Video, embed_url, facet_name, facet_of, public_url,
};
use domain::library::{Filter, FilterInvalid, PageSize, Query, Scope, Sort};
use domain::search::{Correction, Search};
use domain::{Code, Visibility};
use prost_types::Timestamp;

pub(crate) fn list_query(message: &v1::ListVideosRequest, scope: Scope) -> Result<Query, Refusal> {
    let sort = read_sort(message.sort, Sort::Newest).filter(|sort| *sort != Sort::Relevance);
    let sort = sort.ok_or_else(|| invalid("sort", "accepted: newest, votes, views, duration"))?;
    query(message.page_size, message.filter.as_ref(), sort, scope)
}

pub(crate) fn search_request(message: v1::SearchVideosRequest, scope: Scope) -> Result<SearchRequest, Refusal> {
    let search = Search::parse(&message.query, message.typing).map_err(|refused| invalid("query", refused))?;
    let sort = read_sort(message.sort, Sort::Relevance);
    let sort = sort.ok_or_else(|| invalid("sort", "accepted: newest, votes, views, duration, relevance"))?;
    let query = query(message.page_size, message.filter.as_ref(), sort, scope)?;
    let mut facets = Vec::new();
    for name in &message.facets {
        let facet = facet_of(name).ok_or_else(|| invalid("facets", "accepted: tags, region"))?;
        if !facets.contains(&facet) {
            facets.push(facet);
        }
    }
    Ok(SearchRequest {
        search,
        query,
        cursor: token(message.page_token),
        facets,
    })
}

/// A page token; `None` for the first page.
pub(crate) fn token(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A sort order; `None` for a number that is none.
fn read_sort(number: i32, default: Sort) -> Option<Sort> {
    Some(match v1::Sort::try_from(number).ok()? {
        v1::Sort::Unspecified => default,
        v1::Sort::Newest => Sort::Newest,
        v1::Sort::Votes => Sort::Votes,
        v1::Sort::Views => Sort::Views,
        v1::Sort::Duration => Sort::Duration,
        v1::Sort::Relevance => Sort::Relevance,
    })
}

fn query(page_size: i32, filter: Option<&v1::Filter>, sort: Sort, scope: Scope) -> Result<Query, Refusal> {
    let page = match page_size {
        0 => PageSize::default(),
        size => {
            let size = u64::try_from(size).ok().and_then(PageSize::new);
            size.ok_or_else(|| invalid("page_size", "accepted: 1 to 100, or 0 for 20"))?
        }
    };
    Ok(Query {
        scope,
        filter: filter.map(read_filter).transpose()?.unwrap_or_default(),
        sort,
        page,
    })
}

fn read_filter(message: &v1::Filter) -> Result<Filter, Refusal> {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let number = |number: i64| Some(number).filter(|number| *number != 0);
    let filter = Filter {
        tags: message.tags.clone(),
        region: text(&message.region),
        owner: text(&message.owner),
        min_duration_ms: number(message.min_duration_ms),
        max_duration_ms: number(message.max_duration_ms),
        published_after_ms: time_ms("filter.published_after", message.published_after.as_ref())?,
        published_before_ms: time_ms("filter.published_before", message.published_before.as_ref())?,
    };
    filter.check().map_err(|refused| {
        let field = match refused {
            FilterInvalid::TooManyTags | FilterInvalid::Text => "filter.tags",
            FilterInvalid::Duration => "filter.max_duration_ms",
            FilterInvalid::Published => "filter.published_before",
        };
        invalid(field, refused)
    })?;
    Ok(filter)
}

/// Milliseconds since the Unix epoch.
fn time_ms(field: &str, time: Option<&Timestamp>) -> Result<Option<i64>, Refusal> {
    let Some(time) = time else { return Ok(None) };
    let is_valid = (0..1_000_000_000).contains(&time.nanos);
    let ms = time.seconds.checked_mul(1_000).filter(|_| is_valid);
    let ms = ms.and_then(|ms| ms.checked_add(i64::from(time.nanos / 1_000_000)));
    ms.map(Some)
        .ok_or_else(|| invalid(field, "accepted: a valid timestamp"))
}

fn invalid(field: &str, detail: impl std::fmt::Display) -> Refusal {
    Refusal::of_field(field, Code::QueryInvalid).detail(format!("{field}: {detail}"))
}

pub(crate) fn video(entry: Video, base_url: &str) -> v1::Video {
    let details = Details::of(&entry);
    let is_shown = entry.visibility != Visibility::Private;
    let address = is_shown.then(|| public_url(base_url, &entry.public_id));
    let embed_url = is_shown.then(|| embed_url(base_url, &entry.public_id));
    let playback = details.playback().filter(|_| is_shown);
    let url = |output: Option<&Output>| {
        let (address, output) = address.as_ref().zip(output)?;
        Some(output.url(address))
    };
    let visibility = match entry.visibility {
        Visibility::Private => v1::Visibility::Private,
        Visibility::Unlisted => v1::Visibility::Unlisted,
        Visibility::Public => v1::Visibility::Public,
    };
    v1::Video {
        id: entry.id,
        poster_url: url(details.poster()).unwrap_or_default(),
        playback_url: url(playback).unwrap_or_default(),
        playback_type: playback.map(|output| output.media_type.clone()).unwrap_or_default(),
        embed_url: embed_url.unwrap_or_default(),
        public_url: address.unwrap_or_default(),
        title: entry.title,
        description: entry.description,
        tags: entry.tags,
        owner: entry.owner,
        region: entry.region.unwrap_or_default(),
        duration_ms: entry.duration_ms,
        published_at: entry.published_at_ms.map(timestamp),
        votes: entry.votes,
        views: entry.views,
        visibility: visibility.into(),
    }
}

/// The outputs of a video that is not private.
pub(crate) fn outputs(entry: &Video, base_url: &str) -> Vec<v1::Output> {
    let address = public_url(base_url, &entry.public_id);
    let outputs = Details::of(entry).outputs.into_iter().map(|output| v1::Output {
        url: output.url(&address),
        name: output.name,
        kind: output.kind,
        media_type: output.media_type,
        bytes: output.bytes,
        width_px: output.width_px.unwrap_or_default(),
        height_px: output.height_px.unwrap_or_default(),
    });
    outputs.collect()
}

pub(crate) fn freshness(freshness: Freshness) -> v1::Freshness {
    v1::Freshness {
        degraded: freshness.is_degraded,
        as_of: Some(timestamp(freshness.as_of_ms)),
        age_ms: i64::try_from(freshness.age.as_millis()).unwrap_or(i64::MAX),
    }
}

pub(crate) fn correction(correction: Correction) -> v1::Correction {
    v1::Correction {
        word: correction.word,
        replacements: correction.replacements,
    }
}

pub(crate) fn facet(facet: FacetCounts) -> v1::Facet {
    let counts = facet.counts.into_iter().map(|(value, count)| v1::FacetCount {
        value,
        count: i64::try_from(count).unwrap_or(i64::MAX),
    });
    v1::Facet {
        name: facet_name(facet.facet).to_owned(),
        counts: counts.collect(),
        at_least: facet.at_least,
    }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos: i32::try_from(ms.rem_euclid(1_000)).unwrap_or(0) * 1_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_order_that_does_not_exist_is_refused_and_none_is_the_default() {
        let list = |sort| {
            let message = v1::ListVideosRequest {
                sort,
                ..v1::ListVideosRequest::default()
            };
            list_query(&message, Scope::Public).map(|query| query.sort)
        };
        let search = |sort| {
            let message = v1::SearchVideosRequest {
                query: "talk".to_owned(),
                sort,
                ..v1::SearchVideosRequest::default()
            };
            search_request(message, Scope::Public).map(|request| request.query.sort)
        };
        assert_eq!(list(0).unwrap(), Sort::Newest);
        assert_eq!(search(0).unwrap(), Sort::Relevance);
        assert_eq!(search(v1::Sort::Relevance.into()).unwrap(), Sort::Relevance);
        for refused in [
            list(v1::Sort::Relevance.into()),
            list(6),
            list(-1),
            search(6),
            search(-1),
        ] {
            let refusal = refused.unwrap_err();
            assert_eq!(refusal.code, Code::QueryInvalid);
            assert_eq!(refusal.fields[0].name, "sort");
        }
    }
}
