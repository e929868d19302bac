//! The expression of a query in the language of FTS5.
//!
//! Words are folded, so they contain letters and digits only; each is quoted as well. No other text of a user gets into
//! an expression.

use crate::completions::Completions;
use crate::schema::{Property, filter_word, is_filter_word};
use domain::UserId;
use domain::library::{Query, Scope};
use domain::search::{Search, Term};

/// Returns the expression that the matching rows satisfy; `None` if all rows of the scope may match. It does not
/// contain ranges, so these must be checked, too.
pub(crate) fn expression(query: &Query, search: Option<&Search>, completions: &Completions) -> Option<String> {
    let mut properties = Vec::new();
    if let Scope::Account(UserId(id)) = query.scope {
        properties.push(Property::Account(id));
    }
    properties.extend(query.filter.owner.iter().map(|owner| Property::Owner(owner)));
    properties.extend(query.filter.region.iter().map(|region| Property::Region(region)));
    properties.extend(query.filter.tags.iter().map(|tag| Property::Tag(tag)));
    // Properties first: FTS5 advances the lists in this order, and those of accounts and tags are short.
    let filters = properties.into_iter().map(filter);
    let terms = search.into_iter().flat_map(|search| &search.terms);
    let terms = terms.map(|of| term(of, completions));
    let all: Vec<String> = filters.chain(terms).collect();
    if all.is_empty() {
        return None;
    }
    let all = all.join(" AND ");
    let excluded: Vec<String> = search
        .into_iter()
        .flat_map(|search| &search.excluded)
        .map(|of| term(of, completions))
        .collect();
    if excluded.is_empty() {
        return Some(all);
    }
    Some(format!("({all}) NOT ({})", excluded.join(" OR ")))
}

/// Returns the expression of a single word in a scope.
pub(crate) fn word(scope: Scope, of: &Term, completions: &Completions) -> String {
    let word = term(of, completions);
    match scope {
        Scope::Public => word,
        Scope::Account(UserId(id)) => format!("{} AND {word}", filter(Property::Account(id))),
    }
}

/// Only in the column of properties: a user may write the characters of a property in a title, too.
fn filter(property: Property<'_>) -> String {
    format!("filters : \"{}\"", filter_word(property))
}

fn term(term: &Term, completions: &Completions) -> String {
    let completions: &[String] = if term.is_prefix { completions.words() } else { &[] };
    let star = if term.is_prefix { " *" } else { "" };
    let phrase = completions
        .is_empty()
        .then(|| format!("\"{}\"{star}", term.words.join(" ")));
    let others = completions.iter().chain(&term.alternatives);
    let others = others.map(|word| format!("\"{word}\""));
    let all: Vec<String> = phrase.into_iter().chain(others).collect();
    let any = format!("({})", all.join(" OR "));
    // Nor must the characters of a property that a user looks for be found in the column of properties.
    if term
        .words
        .iter()
        .chain(&term.alternatives)
        .any(|word| is_filter_word(word))
    {
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
        expression(&query, Search::parse(text, true).ok().as_ref(), &Completions::default())
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
    fn properties_are_words_of_private_characters_in_their_own_column() {
        let found = of("a ", Scope::Account(UserId(7)), &["x"]).unwrap();
        let words: Vec<&str> = found.split(" AND ").collect();
        assert_eq!(words.len(), 3);
        for word in words.iter().take(2) {
            let word = word.strip_prefix("filters : ").unwrap().trim_matches('"');
            assert!(is_filter_word(word), "{word:?}");
        }
        assert_eq!(of("", Scope::Public, &[]), None);
        let typed = of("\u{F0001} ", Scope::Public, &[]).unwrap();
        assert!(typed.starts_with("{title tags description} : "), "{typed}");
    }
}
