//! The contract that every rule keeps: a pure look at the snapshot and the analyzed workload.

use crate::candidate::Findings;
use crate::context::Context;
use crate::reach::Reach;

/// What a rule says about itself; the one source for `pgwright rules`, the reference page and metrics.
pub struct Meta {
    /// Its name: the pattern that it catches, also its file's name.
    pub id: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The doc comment: headings `Why`, `Evidence`, `Silent when`, `Undo`.
    pub docs: &'static str,
    /// The furthest that its findings may go.
    pub reach: Reach,
    /// First release that has it.
    pub since: &'static str,
    /// Source file.
    pub file: &'static str,
}

/// Implemented by [`declare_rule!`] only.
pub trait Declared: Sync {
    /// What the rule says about itself.
    fn meta(&self) -> &'static Meta;
}

/// A rule: it proposes candidates and says what it refused; it never fails.
pub trait Rule: Declared {
    /// What the rule sees.
    fn propose(&self, cx: &Context<'_>) -> Findings;
}

/// Declares a rule: the doc comment is its documentation, the type its identity.
macro_rules! declare_rule {
    ($(#[doc = $doc:expr])+ $vis:vis $Rule:ident { $($key:ident: $value:expr),+ $(,)? }) => {
        $(#[doc = $doc])+
        $vis struct $Rule;
        impl $crate::rule::Declared for $Rule {
            fn meta(&self) -> &'static $crate::rule::Meta {
                static META: $crate::rule::Meta = $crate::rule::Meta {
                    docs: concat!($($doc, "\n"),+),
                    file: file!(),
                    $($key: $value),+
                };
                &META
            }
        }
    };
}
pub(crate) use declare_rule;
