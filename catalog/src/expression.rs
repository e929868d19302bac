//! The expression of a query in the language of FTS5.
//!
//! Words are folded, so they contain letters and digits only; each is quoted as well. No other text of a user gets into
//! an expression.

use crate::schema::{Property, filter_word, is_filter_word};
use domain::UserId;
use domain::library::{Query, Scope};
use domain::search::{Search, Term};

/// Returns the expression that the matching rows satisfy; `None` if all rows of the scope may match. It does not
/// contain ranges, and different filters may have equal words, so the rows must be checked, too.
pub(crate) fn expression(query: &Query, search: Option<&Search>) -> Option<String> {
    let mut properties = Vec::new();
    if let Scope::Account(UserId(id)) = query.scope {
        properties.push(Property::Account(id));
    }
    properties.extend(query.filter.owner.iter().map(|owner| Property::Owner(owner)));
    properties.extend(query.filter.region.iter().map(|region| Property::Region(region)));
    properties.extend(query.filter.tags.iter().map(|tag| Property::Tag(tag)));
    // Properties first: FTS5 advances the lists in this order, and those of accounts and tags are short.
    let filters = properties
        .into_iter()
        .map(|property| format!("\"{}\"", filter_word(property)));
    let terms = search.into_iter().flat_map(|search| &search.terms).map(term);
    let all: Vec<String> = filters.chain(terms).collect();
    if all.is_empty() {
        return None;
    }
    let all = all.join(" AND ");
    let excluded: Vec<String> = search
        .into_iter()
        .flat_map(|search| &search.excluded)
        .map(term)
        .collect();
    if excluded.is_empty() {
        return Some(all);
    }
    Some(format!("({all}) NOT ({})", excluded.join(" OR ")))
}

/// Returns the expression of a single word in a scope.
pub(crate) fn word(scope: Scope, term_words: &Term) -> String {
    match scope {
        Scope::Public => term(term_words),
        Scope::Account(UserId(id)) => format!("\"{}\" AND {}", filter_word(Property::Account(id)), term(term_words)),
    }
}

fn term(term: &Term) -> String {
    let star = if term.is_prefix { " *" } else { "" };
    let phrase = format!("\"{}\"{star}", term.words.join(" "));
    let alternatives = term.alternatives.iter().map(|word| format!("\"{word}\""));
    let all: Vec<String> = std::iter::once(phrase).chain(alternatives).collect();
    let any = format!("({})", all.join(" OR "));
    // A user may write the character of a property; it must not be found in the column of properties.
    if term.words.iter().any(|word| is_filter_word(word)) {
        return format!("{{title tags description}} : {any}");
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::library::{Filter, PageSize, Sort};

    fn of(text: &str, scope: Scope, tags: &[&str]) -> Option<String> {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let query = Query {
            scope,
            filter: Filter {
                tags,
                ..Filter::default()
            },
            sort: Sort::Newest,
            page: PageSize::default(),
        };
        expression(&query, Search::parse(text, true).ok().as_ref())
    }

    #[test]
    fn terms_are_joined_and_exclusions_follow() {
        let public = |text| of(text, Scope::Public, &[]).unwrap_or_default();
        assert_eq!(public("el niño "), r#"("el") AND ("nino")"#);
        assert_eq!(public("\"el niño\" bog"), r#"("el nino") AND ("bog" *)"#);
        assert_eq!(public("a -b -\"c d\""), r#"(("a")) NOT (("b") OR ("c d"))"#);
        assert_eq!(public("title:(a OR *) "), r#"("title a") AND ("or")"#);
        assert_eq!(public("🎬"), "");
    }

    #[test]
    fn properties_are_words_of_one_private_character() {
        let found = of("a ", Scope::Account(UserId(7)), &["x"]).unwrap();
        let words: Vec<&str> = found.split(" AND ").collect();
        assert_eq!(words.len(), 3);
        for word in words.iter().take(2) {
            let word = word.trim_matches('"');
            assert!(is_filter_word(word) && word.chars().count() == 1, "{word:?}");
        }
        assert_eq!(of("", Scope::Public, &[]), None);
        let typed = of("\u{F0001} ", Scope::Public, &[]).unwrap();
        assert!(typed.starts_with("{title tags description} : "), "{typed}");
    }
}
