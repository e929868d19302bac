//! The format of a result, by the header `Accept` (RFC 9110 §12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// The formats of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

impl Format {
    /// The format that the client prefers; JSON when it prefers none. Of two formats with the same quality, the one
    /// that is named more precisely counts: `text/csv, */*` asks for CSV.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let (csv, json) = (
            preference(headers, "text", "csv"),
            preference(headers, "application", "json"),
        );
        if csv.0 > 0 && csv > json { Self::Csv } else { Self::Json }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

/// Quality in thousandths, and the precision of the media range that it is from. The most precise range decides.
fn preference(headers: &HeaderMap, kind: &str, subtype: &str) -> (u32, u8) {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(','));
    let matching = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (given_kind, given_subtype) = parts.next()?.split_once('/')?;
        let is = |given: &str, name: &str| given.eq_ignore_ascii_case(name);
        let precision = match (given_kind, given_subtype) {
            ("*", "*") => 0,
            (given, "*") if is(given, kind) => 1,
            (given, name) if is(given, kind) && is(name, subtype) => 2,
            _ => return None,
        };
        Some((precision, quality(parts)))
    });
    let (precision, quality) = matching.max_by_key(|range| range.0).unwrap_or_default();
    (quality, precision)
}

/// The parameter `q` in thousandths; 1,000 without it, and 0 if it is no number from 0 to 1.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a str>) -> u32 {
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(value) = value else { return 1_000 };
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let thousandths = format!("{whole}{part:0<3}");
    thousandths
        .parse()
        .ok()
        .filter(|quality| *quality <= 1_000)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_format_is_chosen_and_json_without_a_preference() {
        for (accept, format) in [
            ("text/csv", Format::Csv),
            ("Text/CSV; header=present", Format::Csv),
            ("text/csv, */*", Format::Csv),
            ("text/csv, application/json;q=0.9", Format::Csv),
            ("application/json;q=0.25, text/*;q=0.5", Format::Csv),
            ("text/csv, application/json", Format::Json),
            ("text/csv;q=0.5, application/json", Format::Json),
            ("text/csv;q=0, */*;q=0.1", Format::Json),
            ("text/csv;q=0", Format::Json),
            ("text/html, */*;q=0.8", Format::Json),
            ("*/*", Format::Json),
            ("image/png", Format::Json),
            ("", Format::Json),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Format::accepted(&headers), format, "{accept}");
        }
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
    }
}
