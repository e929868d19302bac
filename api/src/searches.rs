//! Searches in the background.

use crate::library::{Corrected, FreshnessView, SearchHit};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A search in the background that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchTicket {
    /// The id of the search.
    #[schema(example = "019ad3a5-5400-7000-8000-000000000001")]
    pub id: String,
    /// The address of its result, for 24 hours.
    pub url: String,
}

/// The result of a search in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchTicketResult {
    /// The videos, up to 10,000, in the order of the search.
    pub data: Vec<SearchHit>,
    /// The facts about the search.
    #[serde(flatten)]
    pub summary: SearchSummary,
}

/// The facts about a search in the background, of the time when it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchSummary {
    /// Number of videos that match.
    pub total: u64,
    /// True if there are more than `total`.
    pub total_at_least: bool,
    /// The words of the query that occur nowhere, and what was searched instead.
    pub corrected: Vec<Corrected>,
    /// The age of the result when the search began.
    pub freshness: FreshnessView,
}
