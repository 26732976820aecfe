//! `pgwright snapshot`: everything that a dry run needs, in one file.

use agent::blueprint::{DrawOptions, Road};
use agent::optimize;

use super::Call;
use crate::cli::{SchemaFrom, SnapshotArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, units};
use crate::snapshot;

/// Takes a snapshot and writes it down.
pub(crate) async fn run(call: &Call, args: &SnapshotArgs) -> Result<Exit, Failure> {
    // Better known now than after the work.
    output::check(&args.output)?;
    let options = super::optimize::options(&call.settings.optimize)?;
    let info = call.conninfo()?;
    let road = match args.schema_from {
        SchemaFrom::Catalogs => Road::Catalogs,
        SchemaFrom::PgDump => Road::PgDump,
    };
    let how = DrawOptions { road };
    let taken = optimize::snapshot(&info, &call.meter, &options.sample, &how).await;
    let mut taken = taken.map_err(|error| super::optimize::failure(&error))?;
    if args.redact {
        let redacted = optimize::redact(&info, &call.meter, &mut taken).await;
        redacted.map_err(|error| super::optimize::failure(&error))?;
    }
    let bytes = snapshot::write(&taken, &args.output)?;
    if !call.quiet {
        let text = format!(
            "{}: {}, {}, {} written\n",
            args.output.display(),
            units::plural(taken.tables.len(), "table", "tables"),
            units::plural(taken.statements.len(), "statement", "statements"),
            units::bytes(bytes)
        );
        super::complain(&text);
    }
    Ok(Exit::Success)
}
