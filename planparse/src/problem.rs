//! What can be wrong with EXPLAIN output: errors end the reading, problems come along with the plan.

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{Link, OperatorId};

/// Why a text gave no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but white space.
    #[error("the plan text is empty: give the output of `EXPLAIN (FORMAT JSON) <statement>`")]
    Empty,
    /// EXPLAIN output, but not JSON.
    #[error(
        "this is EXPLAIN output in {format} format, not JSON: run the statement with `EXPLAIN (FORMAT JSON)` and give that output"
    )]
    OtherFormat {
        /// `text`, `YAML` or `XML`.
        format: &'static str,
    },
    /// Not JSON.
    #[error(
        "line {line}, column {column}: expected {expected}, found {found}: give the unchanged output of `EXPLAIN (FORMAT JSON)` (with psql: `psql -XAtq`)"
    )]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What would have been right there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// Brackets that are not of plan nodes, nested too deeply.
    #[error(
        "line {line}, column {column}: values are nested more than {limit} levels deep: EXPLAIN prints nothing of the kind; give its output unchanged"
    )]
    TooDeep {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The deepest nesting that is read; plan nodes may go deeper.
        limit: usize,
    },
    /// More plan nodes than are read.
    #[error("there are more than {limit} plan nodes in this text: give a part of it at a time")]
    TooLarge {
        /// The most that are read of one text.
        limit: usize,
    },
    /// JSON, but no EXPLAIN result.
    #[error(
        "found {found} where a plan was expected: give the whole result of `EXPLAIN (FORMAT JSON)`, an array with an object that has a `Plan` key"
    )]
    NotAPlan {
        /// What was found instead, in words.
        found: String,
    },
    /// A plan that breaks off before its first operator is complete.
    #[error("line {line}: {message}: give the unchanged output of EXPLAIN, in any format")]
    Broken {
        /// The line on which it begins, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// Text in which no plan stands.
    #[error(
        "found no plan in this text, which begins with `{text}`: give the unchanged output of EXPLAIN, in any format"
    )]
    NoPlan {
        /// The beginning of the text.
        text: String,
    },
    /// More than one result where one was asked for.
    #[error("found {count} plans where one was expected: give one EXPLAIN result at a time")]
    SeveralPlans {
        /// How many there are.
        count: usize,
    },
}

impl ParseError {
    /// Tells whether the text ended where it should have gone on.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self, Self::Syntax { found, .. } if found == TEXT_END)
    }
}

/// What a text has at its end.
pub(crate) const TEXT_END: &str = "the end of the text";

/// Something in a plan that was not understood, or was repaired. The plan is whole all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "problem", rename_all = "snake_case"))]
pub enum Problem {
    /// A node type of no version that we know.
    UnknownNodeType {
        /// Where.
        operator: OperatorId,
        /// As printed.
        node_type: String,
    },
    /// A key of no version that we know; its value is in `other`.
    UnknownKey {
        /// Where; none for a key beside `Plan`.
        operator: Option<OperatorId>,
        /// As printed.
        key: String,
    },
    /// A value of another type than the key calls for; it is in `other`.
    WrongType {
        /// Where; none for a key beside `Plan`.
        operator: Option<OperatorId>,
        /// As printed.
        key: String,
        /// What the key calls for.
        expected: String,
    },
    /// A key that stands twice in one object and could not be merged; the first value counts.
    DuplicateKey {
        /// Where; none for a key beside `Plan`.
        operator: Option<OperatorId>,
        /// As printed.
        key: String,
    },
    /// A node without `Parent Relationship`, or with one that we do not know.
    UnknownLink {
        /// Where.
        operator: OperatorId,
        /// As printed, if it was.
        relationship: Option<String>,
        /// What it was taken for, by the node types.
        taken: Link,
    },
    /// An element of `Plans` that is not an object; left out.
    NotANode {
        /// Whose `Plans`.
        operator: OperatorId,
    },
    /// A CTE Scan of which no `InitPlan` above bears the name.
    DanglingCte {
        /// The scan.
        operator: OperatorId,
        /// The name.
        cte_name: String,
    },
    /// A plan node stood there without the `Plan` key around it; it was taken for the root.
    BareNode {
        /// The line on which it begins, from 1.
        line: usize,
    },
    /// The plan ends before its end: a part of a log line, say. The operators that were complete are read.
    BreaksOff {
        /// The line on which it breaks off, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// `PostgreSQL` printed bare keys inside an array (MERGE on partitioned tables, 15 to 18); they were moved to the node.
    MisplacedKeys {
        /// Line of the first such key, from 1.
        line: usize,
        /// The keys, in order.
        keys: Vec<String>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |operator: &Option<OperatorId>| {
            operator.map_or_else(|| "beside the plan".to_owned(), |id| id.to_string())
        };
        match self {
            Self::UnknownNodeType { operator, node_type } => {
                write!(f, "{operator}: unknown node type `{node_type}`")
            }
            Self::UnknownKey { operator, key } => {
                write!(f, "{}: unknown key `{key}`, kept as it is", place(operator))
            }
            Self::WrongType { operator, key, expected } => {
                write!(
                    f,
                    "{}: the value of `{key}` is not {expected}, kept as it is",
                    place(operator)
                )
            }
            Self::DuplicateKey { operator, key } => {
                write!(f, "{}: key `{key}` stands there twice, the first counts", place(operator))
            }
            Self::UnknownLink { operator, relationship, taken } => {
                let printed = relationship.as_deref().unwrap_or("none");
                write!(
                    f,
                    "{operator}: no known parent relationship ({printed}), taken for `{taken:?}`"
                )
            }
            Self::NotANode { operator } => {
                write!(f, "{operator}: an element of `Plans` is not an object, left out")
            }
            Self::DanglingCte { operator, cte_name } => {
                write!(f, "{operator}: no `CTE {cte_name}` is defined above this scan")
            }
            Self::BareNode { line } => {
                write!(
                    f,
                    "line {line}: a node without `Plan` around it, taken for the root of a plan"
                )
            }
            Self::BreaksOff { line, reason } => {
                write!(
                    f,
                    "line {line}: the plan breaks off here ({reason}); only the operators that were complete are read"
                )
            }
            Self::MisplacedKeys { line, keys } => {
                write!(
                    f,
                    "line {line}: keys inside an array ({}), as PostgreSQL prints for MERGE; moved to the node",
                    keys.join(", ")
                )
            }
        }
    }
}
