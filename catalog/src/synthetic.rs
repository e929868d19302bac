//! Synthetic videos for tests and measurements: Spanish-looking words with accents, distributed by Zipf's law.

use crate::video::Video;
use domain::UserId;
use domain::library::Visibility;

/// Syllables of the words.
const SYLLABLES: [&str; 40] = [
    "ca", "mi", "no", "so", "la", "ñu", "té", "rá", "pi", "lo", "gua", "des", "per", "con", "tra", "bo", "gó", "ver",
    "sal", "mon", "ta", "ña", "cue", "llo", "jue", "go", "fá", "bri", "ción", "men", "te", "zu", "rí", "os", "quí",
    "mar", "sol", "dü", "ex", "yo",
];

/// Regions.
const REGIONS: [&str; 12] = [
    "Bogotá",
    "Medellín",
    "Cali",
    "Córdoba",
    "A Coruña",
    "Málaga",
    "Quito",
    "Lima",
    "La Paz",
    "Asunción",
    "Panamá",
    "León",
];

/// A generator of numbers (splitmix64). The same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Creates a generator.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }
}

/// A vocabulary from which texts are drawn.
#[derive(Clone, Debug)]
pub struct Library {
    words: Vec<String>,
}

impl Library {
    /// Makes a vocabulary of up to `words` different words.
    #[must_use]
    pub fn new(words: usize) -> Self {
        let mut numbers = Numbers::new(7);
        let mut made: Vec<String> = (0..words)
            .map(|rank| {
                let syllables = 2 + numbers.index(if rank < 200 { 2 } else { 4 });
                (0..syllables)
                    .filter_map(|_| SYLLABLES.get(numbers.index(SYLLABLES.len())))
                    .copied()
                    .collect()
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        made.retain(|word| seen.insert(word.clone()));
        Self { words: made }
    }

    /// Returns a word; the n-th word is drawn with a probability of about 1 to n.
    pub fn word(&self, numbers: &mut Numbers) -> &str {
        // The exponential of an even number between 0 and ln(n) has this distribution.
        #[allow(clippy::cast_precision_loss, reason = "numbers below 2^52")]
        let (share, length) = (numbers.below(1 << 32) as f64 / 2_f64.powi(32), self.words.len() as f64);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of words"
        )]
        let rank = ((share * length.ln()).exp() - 1.0) as usize;
        self.words.get(rank).map_or("", String::as_str)
    }

    /// Returns a video with this id: title of 3 to 8 words, up to 4 tags, description of 6 to 20 words. One of ten is
    /// private, one of twenty unlisted; every account has about 50.
    #[must_use]
    pub fn video(&self, id: i64) -> Video {
        let mut numbers = Numbers::new(id.unsigned_abs());
        let text = |from: u64, span: u64, numbers: &mut Numbers| {
            let count = from + numbers.below(span);
            let words: Vec<&str> = (0..count).map(|_| self.word(numbers)).collect();
            words.join(" ")
        };
        let title = text(3, 6, &mut numbers);
        let description = text(6, 15, &mut numbers);
        let tags = (0..numbers.below(5)).map(|_| {
            let tag = numbers.index(200);
            self.words.get(tag).cloned().unwrap_or_default()
        });
        let mut tags: Vec<String> = tags.collect();
        tags.sort();
        tags.dedup();
        let visibility = match numbers.below(20) {
            0 | 1 => Visibility::Private,
            2 => Visibility::Unlisted,
            _ => Visibility::Public,
        };
        let number = |numbers: &mut Numbers, end: u64| i64::try_from(numbers.below(end)).unwrap_or(0);
        let account = number(&mut numbers, 20_000);
        let created_at_ms = 1_700_000_000_000 + id * 1_000;
        let published = (visibility != Visibility::Private).then(|| created_at_ms + number(&mut numbers, 86_400_000));
        let region = numbers.below(4) > 0;
        Video {
            id,
            public_id: format!("{id:032x}"),
            account: UserId(account),
            owner: format!("owner-{account}"),
            visibility,
            title,
            description,
            tags,
            region: REGIONS
                .get(numbers.index(REGIONS.len()))
                .filter(|_| region)
                .map(|name| (*name).to_owned()),
            duration_ms: 1_000 + number(&mut numbers, 3_600_000),
            created_at_ms,
            published_at_ms: published,
            votes: number(&mut numbers, 50),
            views: number(&mut numbers, 10_000),
            details: format!("{{\"poster\":\"outputs/{id}/1/poster.jpg\",\"entry\":\"outputs/{id}/1/video.mp4\"}}"),
        }
    }
}
