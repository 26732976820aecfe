//! `pgwright rules [ID]`: the rules, as they document themselves.

use std::fmt::Write as _;

use rules::RULES;
use rules::reach::Reach;
use rules::rule::Meta;

use crate::cli::RulesArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Prints the list, or one rule.
pub(crate) fn run(args: &RulesArgs) -> Result<Exit, Failure> {
    let text = match &args.id {
        None => list(),
        Some(id) => page(find(id)?),
    };
    output::deliver(&text, None)?;
    Ok(Exit::Success)
}

/// Every rule, in the order of the reference.
pub(crate) fn all() -> impl Iterator<Item = &'static Meta> {
    RULES.iter().map(|rule| rule.meta())
}

/// How far a rule may go, in words.
pub(crate) fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Advise => "advises; a person decides and acts",
        Reach::Ask => "acts when a person has approved",
        Reach::Act => "acts alone above the gate",
    }
}

/// What a rule says of itself: Markdown, without the blank that a doc comment puts before each line.
pub(crate) fn docs(meta: &Meta) -> String {
    let lines: Vec<&str> =
        meta.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

fn find(id: &str) -> Result<&'static Meta, Failure> {
    let wanted = id.replace('-', "_");
    all().find(|meta| meta.id == wanted).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("there is no rule `{id}`"));
        let likeness = |meta: &&Meta| (strsim::jaro_winkler(meta.id, &wanted) * 1000.0) as u64;
        match all().max_by_key(likeness).filter(|meta| likeness(meta) > 750) {
            Some(near) => failure.hint(format!("did you mean `{}`?", near.id)),
            None => failure.hint("`pgwright rules` lists them"),
        }
    })
}

fn list() -> String {
    let bold = anstyle::Style::new().bold();
    let mut out = String::new();
    for meta in all() {
        let _ =
            writeln!(out, "{bold}{}{bold:#}\n  {}; {}", meta.id, meta.summary, reach(meta.reach));
    }
    out.push_str("\n`pgwright rules ID` explains one: why, on what evidence, when it is silent, how it is undone.\n");
    out
}

fn page(meta: &Meta) -> String {
    let bold = anstyle::Style::new().bold();
    let mut out =
        format!("{bold}{}{bold:#}: {}, since {}\n\n", meta.id, reach(meta.reach), meta.since);
    for line in docs(meta).lines() {
        match line.strip_prefix("# ") {
            Some(heading) => {
                let _ = writeln!(out, "{bold}{heading}{bold:#}");
            }
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{all, find, list, page};
    use crate::exit::Exit;

    #[test]
    fn the_list_names_every_rule_and_each_has_a_page() {
        let list = list();
        assert!(all().count() > 0);
        for meta in all() {
            assert!(list.contains(meta.id) && list.contains(meta.summary));
            let page = page(find(meta.id).unwrap());
            assert!(
                page.contains("Why") && !page.lines().any(|line| line.starts_with("# ")),
                "{page}"
            );
        }
    }

    #[test]
    fn an_unknown_rule_is_a_usage_error_with_the_nearest_name() {
        let failure = find("unindexed-foreign-kex").err().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.render().contains("`unindexed_foreign_key`"));
        assert!(find("zzz").err().unwrap().render().contains("`pgwright rules`"));
    }
}
