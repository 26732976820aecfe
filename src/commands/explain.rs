//! `pgwright explain FILE|-`: what EXPLAIN output says, and what changed between two of them.

use std::path::Path;

use planparse::Reading;

use crate::cli::{ExplainArgs, PlanFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;
use crate::output::plan::{self, Sheets};

/// No plan is that large: a partitioned table of ten thousand parts gives some 10 MiB.
const BYTES_MAX: u64 = 256 << 20;

/// Reads the file, or both, and prints what it says.
pub(crate) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    if let Some(path) = &args.output {
        output::check(path)?;
    }
    let text = match (args.diff.as_deref(), &args.file) {
        (Some([old, new]), _) => compared(old, new, args.format)?,
        (_, Some(file)) => {
            let reading = read(file)?;
            let sheets = Sheets::of(&reading.plans, &reading.notes);
            let columns = if args.output.is_some() { None } else { output::columns() };
            match args.format {
                PlanFormat::Human => plan::human::render(&sheets, output::width(), columns),
                PlanFormat::Json => plan::json::render(&sheets),
                PlanFormat::Markdown => plan::markdown::render(&sheets),
                PlanFormat::Svg => plan::svg::render(&sheets),
                PlanFormat::Html => plan::html::render(&sheets),
            }
        }
        _ => {
            return Err(
                Failure::new(Exit::Usage, "no plan given").hint("name a file, or - for stdin")
            );
        }
    };
    output::deliver(&text, args.output.as_deref())?;
    Ok(Exit::Success)
}

fn compared(old: &Path, new: &Path, format: PlanFormat) -> Result<String, Failure> {
    if old == Path::new("-") && new == Path::new("-") {
        let failure = Failure::new(Exit::Usage, "stdin cannot be read twice");
        return Err(failure.hint("put one of both plans into a file"));
    }
    let (before, after) = (read(old)?, read(new)?);
    let (many, more) = (before.plans.len(), after.plans.len());
    if many != more {
        let message = format!(
            "`{}` holds {} and `{}` {more}",
            old.display(),
            output::units::plural(many, "plan", "plans"),
            new.display()
        );
        return Err(Failure::new(Exit::Usage, message)
            .hint("plans are compared in their order: give as many of the one as of the other"));
    }
    let both = before.plans.iter().zip(&after.plans);
    let pairs: Vec<_> = both.map(|(old, new)| plan::diff::Comparison::of(old, new)).collect();
    Ok(match format {
        PlanFormat::Json => plan::diff::wire(&pairs),
        PlanFormat::Markdown => plan::diff::markdown(&pairs),
        PlanFormat::Svg => plan::side_by_side::picture(&pairs),
        PlanFormat::Html => plan::side_by_side::page(&pairs),
        PlanFormat::Human => plan::diff::human(&pairs, output::width()),
    })
}

fn read(file: &Path) -> Result<Reading, Failure> {
    let name = file.display().to_string();
    let read = if name == "-" {
        input::read(std::io::stdin().lock(), BYTES_MAX)
    } else {
        input::read_file(file, BYTES_MAX)
    };
    let input = read.map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read the plan `{name}`")).caused_by(&error)
    })?;
    planparse::read(&input).map_err(|error| {
        Failure::new(Exit::Usage, format!("`{name}` gives no plan")).caused_by(&error)
    })
}
