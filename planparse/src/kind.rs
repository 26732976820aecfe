//! What an operator is: every node type that `PostgreSQL` 10 to 18 prints.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Declares the enum and its table of printed names in one place, so that neither can miss an entry.
macro_rules! kinds {
    ($($kind:ident = $name:literal),+ $(,)?) => {
        /// The type of an operator, as `explain.c` of `PostgreSQL` 10 to 18 names it in JSON.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        pub enum OperatorKind {
            $(#[doc = concat!("`", $name, "`.")] $kind,)+
            /// Anything else; the printed name is in [`Operator::node_type`](crate::Operator::node_type).
            #[default]
            Unknown,
        }

        impl OperatorKind {
            /// Returns the kind for a printed `Node Type`.
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$kind,)+
                    _ => Self::Unknown,
                }
            }
        }
    };
}

kinds! {
    Result = "Result",
    ProjectSet = "ProjectSet",
    ModifyTable = "ModifyTable",
    Append = "Append",
    MergeAppend = "Merge Append",
    RecursiveUnion = "Recursive Union",
    BitmapAnd = "BitmapAnd",
    BitmapOr = "BitmapOr",
    NestedLoop = "Nested Loop",
    MergeJoin = "Merge Join",
    HashJoin = "Hash Join",
    SeqScan = "Seq Scan",
    SampleScan = "Sample Scan",
    Gather = "Gather",
    GatherMerge = "Gather Merge",
    IndexScan = "Index Scan",
    IndexOnlyScan = "Index Only Scan",
    BitmapIndexScan = "Bitmap Index Scan",
    BitmapHeapScan = "Bitmap Heap Scan",
    TidScan = "Tid Scan",
    TidRangeScan = "Tid Range Scan",
    SubqueryScan = "Subquery Scan",
    FunctionScan = "Function Scan",
    TableFunctionScan = "Table Function Scan",
    ValuesScan = "Values Scan",
    CteScan = "CTE Scan",
    NamedTuplestoreScan = "Named Tuplestore Scan",
    WorkTableScan = "WorkTable Scan",
    ForeignScan = "Foreign Scan",
    CustomScan = "Custom Scan",
    Materialize = "Materialize",
    Memoize = "Memoize",
    Sort = "Sort",
    IncrementalSort = "Incremental Sort",
    Group = "Group",
    Aggregate = "Aggregate",
    WindowAgg = "WindowAgg",
    Unique = "Unique",
    SetOp = "SetOp",
    LockRows = "LockRows",
    Limit = "Limit",
    Hash = "Hash",
}

impl OperatorKind {
    /// Tells whether it joins two inputs.
    pub fn is_join(self) -> bool {
        matches!(self, Self::NestedLoop | Self::MergeJoin | Self::HashJoin)
    }

    /// Tells whether it hands work to parallel workers.
    pub fn is_gather(self) -> bool {
        matches!(self, Self::Gather | Self::GatherMerge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        assert_eq!(OperatorKind::from_name("Index Only Scan"), OperatorKind::IndexOnlyScan);
        assert_eq!(OperatorKind::from_name("WindowAgg"), OperatorKind::WindowAgg);
        assert_eq!(OperatorKind::from_name("index only scan"), OperatorKind::Unknown);
        assert_eq!(OperatorKind::from_name(""), OperatorKind::Unknown);
    }
}
