//! What was read of a text: plans, and what stood around them.

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::raw::MAX_NODES;
use crate::{ParseError, Plan, Problem, input};

/// In which form a plan was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Format {
    /// `EXPLAIN (FORMAT JSON)`.
    Json,
    /// `EXPLAIN` as a person reads it.
    Text,
    /// `EXPLAIN (FORMAT YAML)`.
    Yaml,
    /// `EXPLAIN (FORMAT XML)`.
    Xml,
}

/// One EXPLAIN result that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The plan.
    pub plan: Plan,
    /// In which form it was printed.
    pub format: Format,
    /// The line of the text on which it begins, from 1.
    pub line: usize,
    /// What was printed but not understood, and what was repaired; empty for the output of `PostgreSQL` 10 to 18.
    pub problems: Vec<Problem>,
}

/// Everything that was read of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The plans, in the order in which they stand in the text; one at least.
    pub plans: Vec<Parsed>,
    /// What stood around the plans and was taken for one, but could not be read; and what is wrong with the text itself.
    pub notes: Vec<Note>,
}

/// A part of a text that looked like a plan, but gave none, or letters that were lost. The plans beside it are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Note {
    /// The line on which that part begins, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Reads every plan in `input`, whichever way `PostgreSQL` printed it and however it was copied.
///
/// The format is recognized: JSON, text, YAML or XML, one result or several, in a log of `auto_explain`, in the frame
/// that psql draws, or pasted into a message. What is no UTF-8 is read with replacement characters. `Err` means that no
/// plan was found; its message says what was found and what to give instead.
pub fn read(input: impl AsRef<[u8]>) -> Result<Reading, ParseError> {
    let (text, damaged) = input::decode(input.as_ref());
    if text.trim().is_empty() {
        return Err(ParseError::Empty);
    }
    let mut found = input::scan(&text);
    if found.nodes > MAX_NODES {
        return Err(ParseError::TooLarge { limit: MAX_NODES });
    }
    if found.plans.is_empty() {
        let broken = found.notes.into_iter().next();
        let broken = broken.map(|Note { line, message }| ParseError::Broken { line, message });
        let error = found.error.or(broken);
        return Err(error.unwrap_or_else(|| ParseError::NoPlan { text: excerpt(&text) }));
    }
    if let Some(line) = damaged {
        let message = "not valid UTF-8 from here on, so letters beyond ASCII are lost: give the file in UTF-8";
        found.notes.insert(0, Note { line, message: message.to_owned() });
    }
    Ok(Reading { plans: found.plans, notes: found.notes })
}

/// Returns the beginning of the first line that says something.
fn excerpt(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(40).collect()
}
