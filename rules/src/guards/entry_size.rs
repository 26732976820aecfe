use super::{Answer, Guard, KeyFacts, Premises, Scope, declare_guard, size};

/// Bytes that an entry of a B-tree can have: a third of a page (`BTMaxItemSize`, nbtree.h).
const BTREE_ENTRY_MAX: u64 = 2704;

/// ANALYZE keeps values of up to this many bytes (`WIDTH_THRESHOLD`, analyze.c); a longer one leaves no trace.
const KEPT_MAX: f64 = 1024.0;

declare_guard! {
    /// Columns whose values may not fit into an index entry.
    ///
    /// # Why
    /// A B-tree takes entries of up to 2,704 bytes. On a column that lets values grow, the INSERT of a longer one fails
    /// with "index row size exceeds btree maximum", perhaps weeks later, in the application.
    ///
    /// # Refuses when
    /// For a B-tree on a type without a bound: the longest value that statistics know is over a quarter of that
    /// limit, all together are over the limit, the mean width is over a quarter of it, or statistics hold no value at
    /// all although there are some, which they do where all are over 1,024 bytes.
    ///
    /// # Where it cannot be known
    /// Without statistics there is a note. So that it does not come to this, rules propose no such index.
    pub(super) EntrySize {
        id: "entry_size",
        summary: "indexes that make the INSERT of a long value fail",
        scope: Scope::Table,
    }
}

impl Guard for EntrySize {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let index = premises.target.and_then(|target| target.index);
        let Some(index) = index.filter(|index| index.method == "btree") else {
            return Answer::Pass;
        };
        let unbounded = || index.keys.iter().filter(|key| key.unbounded);
        if let Some(reason) = unbounded().find_map(too_long) {
            return Answer::Refuse(format!(
                "{reason}, and a B-tree takes entries of up to {BTREE_ENTRY_MAX} bytes: a longer value would make its \
                 INSERT fail; bound the column (varchar(n) or a CHECK), or index a hash of it"
            ));
        }
        let together: u64 = unbounded().filter_map(|key| key.longest).sum();
        if together > BTREE_ENTRY_MAX {
            return Answer::Refuse(format!(
                "the longest values of its columns take {together} bytes together, and a B-tree takes entries of up to \
                 {BTREE_ENTRY_MAX} bytes; bound the columns or leave one out"
            ));
        }
        match unbounded().find(|key| key.width.is_none()) {
            Some(key) => Answer::Note(format!(
                "how long values of {} are is not known; ANALYZE the table",
                key.name
            )),
            None => Answer::Pass,
        }
    }
}

/// Why values of one column may not fit.
fn too_long(key: &KeyFacts) -> Option<String> {
    let quarter = BTREE_ENTRY_MAX / 4;
    let name = &key.name;
    match (key.longest, key.width) {
        (Some(longest), _) if longest > quarter => {
            Some(format!("values of {name} are up to {longest} bytes long"))
        }
        (_, Some(width)) if width > quarter as f64 => {
            Some(format!("values of {name} are {width:.0} bytes long on average"))
        }
        (None, Some(_)) if key.null_fraction.is_some_and(|share| share < 1.0) => Some(format!(
            "values of {name} are over {} long, so that ANALYZE keeps none",
            size(KEPT_MAX as u64)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::EntrySize;
    use crate::guards::testing::Case;

    #[test]
    fn long_values_of_unbounded_types_are_refused_with_their_length() {
        let mut case = Case::default();
        let key = &mut case.index.keys[0];
        (key.longest, key.width) = (Some(900), Some(40.0));
        assert!(case.passes(&EntrySize), "a bounded type");
        case.index.keys[0].unbounded = true;
        assert!(case.reason(&EntrySize).contains("values of userId are up to 900 bytes long"));
        case.index.keys[0].longest = Some(600);
        assert!(case.passes(&EntrySize));
        case.index.keys[0].width = Some(700.0);
        assert!(case.reason(&EntrySize).contains("700 bytes long on average"));
        case.index.keys[0].longest = None;
        case.index.keys[0].width = Some(18.0);
        assert!(case.reason(&EntrySize).contains("ANALYZE keeps none"));
        case.index.keys[0].width = None;
        case.index.keys[0].null_fraction = None;
        assert!(case.note(&EntrySize).contains("ANALYZE the table"));
        case.index.method = "gin".into();
        assert!(case.passes(&EntrySize));
    }

    #[test]
    fn several_columns_count_together() {
        let mut case = Case::default();
        let mut key = case.index.keys[0].clone();
        (key.unbounded, key.longest, key.width) = (true, Some(670), Some(40.0));
        case.index.keys = vec![key.clone(), key.clone(), key.clone(), key.clone()];
        assert!(case.passes(&EntrySize));
        case.index.keys.push(key);
        assert!(case.reason(&EntrySize).contains("3350 bytes together"));
    }
}
