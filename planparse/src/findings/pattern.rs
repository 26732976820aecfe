//! The contract that every pattern keeps: a pure look at one plan.

use super::{Context, Finding};

/// What a pattern says about itself; the one source for the reference page.
#[derive(Debug)]
pub struct Meta {
    /// Its name, also its file's name.
    pub id: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The doc comment: headings `Why`, `Fires when`, `Silent when`, `What to do`.
    pub docs: &'static str,
    /// Source file.
    pub file: &'static str,
}

/// What a pattern says about itself; written by [`declare_pattern!`] only.
pub trait Declared: Sync {
    /// Returns its name, summary and documentation.
    fn meta(&self) -> &'static Meta;
}

/// A pattern that makes plans slow.
pub trait Pattern: Declared {
    /// Returns where it stands in a plan. Nothing that is not worth mending: see [`findings`](crate::findings()).
    #[doc(hidden)]
    fn find(&self, cx: &Context<'_>) -> Vec<Finding>;
}

/// Declares a pattern: the doc comment is its documentation, the type its identity.
macro_rules! declare_pattern {
    ($(#[doc = $doc:expr])+ $Pattern:ident { $($key:ident: $value:expr),+ $(,)? }) => {
        $(#[doc = $doc])+
        pub(super) struct $Pattern;
        impl $Pattern {
            fn meta(&self) -> &'static $crate::findings::Meta {
                static META: $crate::findings::Meta = $crate::findings::Meta {
                    docs: concat!($($doc, "\n"),+),
                    file: file!(),
                    $($key: $value),+
                };
                &META
            }
        }
        impl $crate::findings::pattern::Declared for $Pattern {
            fn meta(&self) -> &'static $crate::findings::Meta {
                self.meta()
            }
        }
    };
}
pub(super) use declare_pattern;
