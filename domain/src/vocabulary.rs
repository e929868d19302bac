//! The words of the catalog, and those that are similar to a misspelt one.
//!
//! *Distance.* The restricted Damerau–Levenshtein distance (optimal string alignment) of the folded words: the number
//! of inserted, deleted, replaced and swapped neighboring letters, where no letter is edited twice. Swapped letters are
//! the most frequent typing error; Levenshtein counts them as two edits.
//!
//! *Bound.* Words of 3 to 7 letters may differ by one edit, longer ones by two. Shorter words are not corrected: almost
//! all words of two letters are similar.
//!
//! *Cost.* All words are compared. The length and a set of letters (one bit for each of 32 classes) exclude nearly all
//! of them without reading the word.

use std::collections::HashMap;

/// Maximum number of letters of a word that is corrected or suggested.
const MAX_LETTERS: usize = 40;

/// The number of videos that contain a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Frequency {
    /// Public videos.
    pub public: i64,
    /// Private and unlisted videos.
    pub hidden: i64,
}

/// The words of all videos with their frequencies.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    words: HashMap<Box<str>, Statistics>,
}

/// A word of the vocabulary with the properties by which it is excluded quickly.
#[derive(Clone, Copy, Debug)]
struct Statistics {
    frequency: Frequency,
    letters: u8,
    classes: u32,
}

impl Vocabulary {
    /// Adds to the frequency of a word; negative numbers subtract. A word that occurs no more is removed.
    pub fn add(&mut self, word: &str, change: Frequency) {
        let updated = self.frequency(word).plus(change);
        if updated.public <= 0 && updated.hidden <= 0 {
            self.words.remove(word);
        } else if let Some(known) = self.words.get_mut(word) {
            known.frequency = updated;
        } else {
            let letters = word.chars().count();
            let statistics = Statistics {
                frequency: updated,
                letters: u8::try_from(letters).unwrap_or(u8::MAX),
                classes: classes(word),
            };
            self.words.insert(word.into(), statistics);
        }
    }

    /// Returns the number of videos that contain a word.
    #[must_use]
    pub fn frequency(&self, word: &str) -> Frequency {
        self.words
            .get(word)
            .map_or_else(Frequency::default, |known| known.frequency)
    }

    /// Returns the number of different words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns `true` if there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the words within the edit distance of a word that satisfy a predicate: those in the most public videos
    /// first, then in alphabetical order. The frequency in other videos has no influence on the order, so that it
    /// reveals nothing about videos of other accounts.
    pub fn similar(&self, word: &str, is_visible: impl Fn(Frequency) -> bool) -> Vec<&str> {
        let letters: Vec<char> = word.chars().collect();
        let Some(bound) = bound(letters.len()) else {
            return Vec::new();
        };
        let classes = classes(word);
        let mut buffer = Vec::with_capacity(MAX_LETTERS);
        let mut found: Vec<(i64, &str)> = Vec::new();
        for (known, statistics) in &self.words {
            let other = usize::from(statistics.letters);
            if other.abs_diff(letters.len()) > bound
                || (classes & !statistics.classes).count_ones() as usize > bound
                || (statistics.classes & !classes).count_ones() as usize > bound
                || !is_visible(statistics.frequency)
                || &**known == word
            {
                continue;
            }
            buffer.clear();
            buffer.extend(known.chars());
            if distance(&letters, &buffer) <= bound {
                found.push((statistics.frequency.public, known));
            }
        }
        found.sort_by_key(|(public, word)| (std::cmp::Reverse(*public), *word));
        found.into_iter().map(|(_, word)| word).collect()
    }
}

impl Frequency {
    /// Returns the sum with a change.
    #[must_use]
    pub const fn plus(self, change: Self) -> Self {
        Self {
            public: self.public + change.public,
            hidden: self.hidden + change.hidden,
        }
    }
}

/// The number of edits by which a word may differ from its correction; `None` if it is not corrected.
const fn bound(letters: usize) -> Option<usize> {
    match letters {
        3..=7 => Some(1),
        8..=MAX_LETTERS => Some(2),
        _ => None,
    }
}

/// A set of letters: one bit for each of 32 classes of code points. An edit changes at most one bit in each direction.
fn classes(word: &str) -> u32 {
    word.chars().fold(0, |set, letter| set | 1 << (u32::from(letter) % 32))
}

/// Returns the restricted Damerau–Levenshtein distance of two words.
///
/// The rows of the matrix of distances are computed one after the other; a swap needs the last two.
#[must_use]
pub fn distance(one: &[char], other: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous: Option<char> = None;
    for (row, letter) in one.iter().enumerate() {
        let mut next = Vec::with_capacity(last.len());
        next.push(row + 1);
        let mut before: Option<char> = None;
        for (column, facing) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, column) + usize::from(letter != facing);
            let mut edits = replaced.min(at(&last, column + 1) + 1).min(at(&next, column) + 1);
            if column > 0 && previous == Some(*facing) && before == Some(*letter) {
                edits = edits.min(at(&before_last, column - 1) + 1);
            }
            next.push(edits);
            before = Some(*facing);
        }
        before_last = std::mem::replace(&mut last, next);
        previous = Some(*letter);
    }
    last.last().copied().unwrap_or(one.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letters(word: &str) -> Vec<char> {
        word.chars().collect()
    }

    /// The definition of the distance, without a matrix.
    fn oracle(one: &[char], other: &[char]) -> usize {
        let (Some((last, shorter)), Some((facing, other_shorter))) = (one.split_last(), other.split_last()) else {
            return one.len().max(other.len());
        };
        let replaced = oracle(shorter, other_shorter) + usize::from(last != facing);
        let edited = replaced
            .min(oracle(shorter, other) + 1)
            .min(oracle(one, other_shorter) + 1);
        match (shorter.split_last(), other_shorter.split_last()) {
            (Some((before, rest)), Some((facing_before, other_rest))) if before == facing && last == facing_before => {
                edited.min(oracle(rest, other_rest) + 1)
            }
            _ => edited,
        }
    }

    fn vocabulary(words: &[(&str, i64)]) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for (word, public) in words {
            vocabulary.add(
                word,
                Frequency {
                    public: *public,
                    hidden: 0,
                },
            );
        }
        vocabulary
    }

    #[test]
    fn edits_are_counted() {
        for (one, other, edits) in [
            ("gatos", "gatos", 0),
            ("gatso", "gatos", 1),
            ("gato", "gatos", 1),
            ("gatoss", "gatos", 1),
            ("datos", "gatos", 1),
            ("agtso", "gatos", 2),
            ("ca", "abc", 3),
            ("", "abc", 3),
            ("ñandu", "nandu", 1),
        ] {
            assert_eq!(distance(&letters(one), &letters(other)), edits, "{one} {other}");
            assert_eq!(distance(&letters(other), &letters(one)), edits, "{other} {one}");
        }
    }

    #[test]
    fn longer_words_may_differ_by_two_edits_and_short_words_by_none() {
        let words = vocabulary(&[
            ("gatos", 1),
            ("montana", 1),
            ("montañas", 1),
            ("caminante", 1),
            ("el", 1),
            ("la", 1),
        ]);
        for (word, expected) in [
            ("gatso", vec!["gatos"]),
            ("agtso", vec![]),
            ("mntna", vec![]),
            ("mintana", vec!["montana"]),
            ("cmainnate", vec!["caminante"]),
            ("cmanate", vec![]),
            ("ek", vec![]),
            ("gatos", vec![]),
        ] {
            assert_eq!(words.similar(word, |_| true), expected, "{word}");
        }
    }

    #[test]
    fn the_most_frequent_words_come_first_and_invisible_ones_not_at_all() {
        let mut words = vocabulary(&[("gatos", 5), ("datos", 9), ("ratos", 5)]);
        words.add("matos", Frequency { public: 0, hidden: 100 });
        assert_eq!(
            words.similar("xatos", |found| found.public > 0),
            ["datos", "gatos", "ratos"]
        );
        assert_eq!(words.similar("xatos", |_| true), ["datos", "gatos", "ratos", "matos"]);
    }

    #[test]
    fn a_word_is_forgotten_with_its_last_video() {
        let mut words = vocabulary(&[("gatos", 2)]);
        words.add("gatos", Frequency { public: -1, hidden: 1 });
        assert_eq!(words.frequency("gatos"), Frequency { public: 1, hidden: 1 });
        words.add("gatos", Frequency { public: -1, hidden: -1 });
        assert!(words.is_empty());
    }

    proptest! {
        #[test]
        fn the_distance_is_that_of_the_definition(one in "[abcñ]{0,7}", other in "[abcñ]{0,7}") {
            let (one, other) = (letters(&one), letters(&other));
            prop_assert_eq!(distance(&one, &other), oracle(&one, &other));
        }

        #[test]
        fn no_similar_word_is_missed(
            words in proptest::collection::btree_map("[a-dñ東]{1,10}", 1..50_i64, 1..60),
            word in "[a-dñ東]{1,10}",
        ) {
            let pairs: Vec<(&str, i64)> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
            let found = vocabulary(&pairs);
            let allowed = match letters(&word).len() { 0..=2 => 0, 3..=7 => 1, _ => 2 };
            let mut expected: Vec<(&str, i64)> = pairs
                .into_iter()
                .filter(|(other, _)| (1..=allowed).contains(&distance(&letters(&word), &letters(other))))
                .collect();
            expected.sort_by_key(|(word, count)| (-count, *word));
            let expected: Vec<&str> = expected.into_iter().map(|(word, _)| word).collect();
            prop_assert_eq!(found.similar(&word, |_| true), expected);
        }
    }
}
