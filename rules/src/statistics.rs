//! Extended statistics that do not exist yet: what ANALYZE is to find out of columns together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::quote::{ident, qualified};

/// What is found out of the columns. Each is named in the statement, so that a later version's further kinds do not
/// come along unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatisticsKind {
    /// How many distinct combinations there are: for grouping.
    Ndistinct,
    /// How far one column determines another: for equality.
    Dependencies,
    /// The most common combinations and their shares.
    Mcv,
}

impl StatisticsKind {
    /// All of them, in the order in which the server prints them.
    pub const ALL: [Self; 3] = [Self::Ndistinct, Self::Dependencies, Self::Mcv];

    /// The word in `CREATE STATISTICS`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ndistinct => "ndistinct",
            Self::Dependencies => "dependencies",
            Self::Mcv => "mcv",
        }
    }

    /// The kind of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Extended statistics that could be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StatisticsDefinition {
    /// Schema of the table, and of the statistics.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The columns, two or more. Their order makes no difference.
    pub columns: BTreeSet<String>,
    /// What is found out of them.
    pub kinds: BTreeSet<StatisticsKind>,
}

impl StatisticsDefinition {
    /// `(ndistinct, mcv) ON a, b FROM schema.table`: the canonical text without a name.
    pub fn canonical(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.word()).collect();
        let columns: Vec<String> = self.columns.iter().map(|column| ident(column)).collect();
        format!(
            "({}) ON {} FROM {}",
            kinds.join(", "),
            columns.join(", "),
            qualified(&self.schema, &self.table)
        )
    }

    /// The statement that makes them under this name. They tell nothing until the table is analyzed.
    pub fn create(&self, name: &str) -> String {
        format!("CREATE STATISTICS {} {}", qualified(&self.schema, name), self.canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::{StatisticsDefinition, StatisticsKind};

    #[test]
    fn a_definition_is_quoted_and_names_its_kinds() {
        let definition = StatisticsDefinition {
            schema: "My app".into(),
            table: "Order".into(),
            columns: ["zip".to_owned(), "City".to_owned()].into(),
            kinds: [StatisticsKind::Mcv, StatisticsKind::Dependencies].into(),
        };
        assert_eq!(
            definition.create("x"),
            "CREATE STATISTICS \"My app\".x (dependencies, mcv) ON \"City\", zip FROM \"My app\".\"Order\""
        );
    }
}
