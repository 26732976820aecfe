//! How far pgwright may go by itself.

/// How far pgwright may go on a rule's word alone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Show it; a person decides and acts.
    Advise,
    /// A person approves, pgwright acts.
    Ask,
    /// Act alone once confidence clears the gate.
    Act,
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Advise => "advise",
            Self::Ask => "ask",
            Self::Act => "act",
        })
    }
}
