//! Videos that are not public are invisible to others, in all parts of all answers.

use super::{filled, query, search, video};
use catalog::{Catalog, Change, Facet, SearchPage, Video};
use domain::UserId;
use domain::library::{Scope, Sort, Visibility};
use domain::search::Search;

const OTHER: Scope = Scope::Account(UserId(2));
const OWNER: Scope = Scope::Account(UserId(1));
const BOTH: [Facet; 2] = [Facet::Tags, Facet::Region];

fn hidden(id: i64, title: &str, visibility: Visibility) -> Video {
    let mut entry = video(id, title);
    entry.visibility = visibility;
    entry.tags = vec!["escondido".into()];
    entry.region = Some("Atlantis".into());
    entry.description = "clave zanahoria".into();
    entry
}

fn entries() -> Vec<Video> {
    let mut foreign = video(9, "gatos de otra cuenta");
    foreign.account = UserId(2);
    foreign.owner = "bea".into();
    let visible = (1..=5).map(|id| video(id, "gatos publicos"));
    let secrets = [
        hidden(6, "gatos secretos murcielago", Visibility::Private),
        hidden(7, "gatos ocultos mandarina", Visibility::Unlisted),
    ];
    visible.chain(secrets).chain([foreign]).collect()
}

async fn searched(catalog: &Catalog, text: &str, scope: Scope) -> SearchPage {
    catalog
        .search(&search(text), &query(scope, Sort::Relevance), None, &BOTH)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_hidden_video_is_in_no_list_total_or_facet_of_others() {
    let (_directory, catalog) = filled(&entries()).await;
    for (scope, total) in [(Scope::Public, 6), (OTHER, 1), (OWNER, 7)] {
        for sort in Sort::ALL {
            let listed = catalog.list(&query(scope, sort), None).await.unwrap().videos;
            assert_eq!(listed.len(), total, "{scope:?} {sort:?}");
        }
        let page = searched(&catalog, "gatos", scope).await;
        assert_eq!((page.total as usize, page.hits.len()), (total, total), "{scope:?}");
        let values: usize = page.facets.iter().map(|facet| facet.counts.len()).sum();
        assert_eq!(values, if scope == OWNER { 2 } else { 0 }, "{scope:?}");
        for word in ["murcielago", "mandarina", "zanahoria", "escondido", "secretos"] {
            let total = searched(&catalog, word, scope).await.total;
            assert_eq!(total > 0, scope == OWNER, "{word} {scope:?}");
        }
    }
}

#[tokio::test]
async fn a_word_of_a_hidden_video_corrects_nothing_for_others() {
    let (_directory, catalog) = filled(&entries()).await;
    for (typed, word) in [
        ("mrucielago", "murcielago"),
        ("mandarinna", "mandarina"),
        ("zanahroia", "zanahoria"),
    ] {
        for scope in [Scope::Public, OTHER] {
            let page = searched(&catalog, typed, scope).await;
            assert!(page.corrections.is_empty(), "{typed} {scope:?}: {:?}", page.corrections);
        }
        let page = searched(&catalog, typed, OWNER).await;
        assert_eq!(page.corrections[0].replacements, [word]);
    }
    let page = searched(&catalog, "gatsos", OTHER).await;
    assert_eq!(page.corrections[0].replacements, ["gatos"]);
    assert!(
        searched(&catalog, "publicso", OTHER).await.corrections.is_empty(),
        "not in a video of this account"
    );
}

#[tokio::test]
async fn hiding_a_video_removes_its_words_at_once() {
    let (_directory, catalog) = filled(&entries()).await;
    let corrected = async |text: &str| !searched(&catalog, text, Scope::Public).await.corrections.is_empty();
    assert!(!corrected("mandarinna").await);
    let shown = |visibility| Change::Video(Box::new(hidden(7, "gatos ocultos mandarina", visibility)));
    catalog.apply(&[shown(Visibility::Public)], super::at(2)).await.unwrap();
    assert!(corrected("mandarinna").await);
    assert_eq!(super::found(&catalog, "mandarina").await, [7]);
    catalog
        .apply(&[shown(Visibility::Private)], super::at(3))
        .await
        .unwrap();
    assert!(!corrected("mandarinna").await);
    assert_eq!(super::found(&catalog, "mandarina").await, Vec::<i64>::new());
}

#[tokio::test]
async fn a_public_video_has_two_addresses_and_an_unlisted_one_has_one() {
    let (_directory, catalog) = filled(&entries()).await;
    for (id, by_id, by_link) in [(1, true, true), (6, false, false), (7, false, true), (99, false, false)] {
        let link = format!("public-{id}");
        assert_eq!(catalog.public(id).await.unwrap().is_some(), by_id, "{id}");
        assert_eq!(catalog.of_link(&link).await.unwrap().is_some(), by_link, "{id}");
    }
    assert!(catalog.of_link("").await.unwrap().is_none());
}

/// Two catalogs that differ only in hidden videos answer all public queries equally.
#[tokio::test]
async fn public_answers_do_not_depend_on_hidden_videos() {
    let library = catalog::synthetic::Library::new(500);
    let all: Vec<Video> = (1..=2_000).map(|id| library.video(id)).collect();
    let public: Vec<Video> = all
        .iter()
        .filter(|entry| entry.visibility == Visibility::Public)
        .cloned()
        .collect();
    let ((_one, all), (_other, public)) = (filled(&all).await, filled(&public).await);
    let mut numbers = catalog::synthetic::Numbers::new(3);
    for _ in 0..100 {
        let word = library.word(&mut numbers);
        let text = format!(
            "{word} {}",
            library.word(&mut numbers).chars().skip(1).collect::<String>()
        );
        for is_typing in [false, true] {
            let search = Search::parse(&text, is_typing).unwrap();
            let query = query(Scope::Public, Sort::Relevance);
            let one = all.search(&search, &query, None, &BOTH).await.unwrap();
            let other = public.search(&search, &query, None, &BOTH).await.unwrap();
            assert_eq!(format!("{one:?}"), format!("{other:?}"), "{text}");
        }
    }
}
