//! The forms in which a result is printed: one file for each form of the report, behind one trait.

use std::io::{self, Write as _};
use std::path::Path;

use agent::postgres::Meter;
use tempfile::NamedTempFile;

use rules::report::Report;

use crate::cli::ReportFormat;
use crate::exit::Exit;
use crate::failure::Failure;

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod human;
pub(crate) mod json;
mod outcome;
pub(crate) mod plan;
pub(crate) mod sql;
pub(crate) mod units;

pub(crate) use outcome::{Applied, Ending, Outcome};

/// Columns of a page that no terminal shows: files, pipes.
pub(crate) const PLAIN_WIDTH: usize = 100;

/// What a form renders.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    /// The report.
    pub(crate) report: &'a Report,
    /// What became of the actions that were due, after `--apply`.
    pub(crate) applied: Option<&'a Applied>,
    /// What was sent to the server, when it was asked for.
    pub(crate) traffic: Option<Traffic>,
    /// Whether what was applied is judged by nobody before `pgwright verify` runs.
    pub(crate) unwatched: bool,
    /// Whether to leave nothing out.
    pub(crate) verbose: bool,
    /// Columns of the page.
    pub(crate) width: usize,
}

#[cfg(test)]
impl<'a> Document<'a> {
    /// The report of a dry run, for a plain page.
    pub(crate) fn of(report: &'a Report) -> Self {
        Self {
            report,
            applied: None,
            traffic: None,
            unwatched: false,
            verbose: false,
            width: PLAIN_WIDTH,
        }
    }
}

/// What reading has cost the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Statements sent.
    pub(crate) statements: u64,
    /// Milliseconds until they were answered.
    pub(crate) ms: f64,
}

impl Traffic {
    /// What was sent so far.
    pub(crate) fn of(meter: &Meter) -> Self {
        let ms = meter.total_time().as_secs_f64() * 1000.0;
        Self { statements: meter.total_statements(), ms }
    }

    /// In a sentence.
    pub(crate) fn told(&self) -> String {
        let sent = units::count(self.statements);
        format!("Sent {sent} statements to the server, answered in {}.", units::duration(self.ms))
    }
}

/// Mode of a file that the umask decides on.
const OPEN: u32 = 0o666;
/// Mode of a file for its owner alone.
const PRIVATE: u32 = 0o600;

/// One form of the report.
pub(crate) trait Format {
    /// The whole text, with colour codes where the form has colours.
    fn render(&self, document: &Document<'_>) -> String;
}

/// The form of this name.
pub(crate) fn format(name: ReportFormat) -> &'static dyn Format {
    match name {
        ReportFormat::Human => &human::Human,
        ReportFormat::Json => &json::Json,
        ReportFormat::Sql => &sql::Sql,
    }
}

/// Columns of the page on stdout, within what is pleasant to read.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size_of(io::stdout())
        .map_or(PLAIN_WIDTH, |(columns, _)| usize::from(columns.0).clamp(60, 120))
}

/// Columns of the terminal, if stdout is one.
pub(crate) fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(columns, _)| usize::from(columns.0).max(40))
}

/// Writes a result to a file or to stdout, colour codes only where they belong.
pub(crate) fn deliver(text: &str, file: Option<&Path>) -> Result<(), Failure> {
    if let Some(path) = file {
        save(anstream::adapter::strip_str(text).to_string().as_bytes(), path, OPEN)
            .map_err(|error| unwritable(path, &error))
    } else {
        let mut stdout = anstream::stdout();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader that has seen enough, such as `head`, is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Usage, "cannot write to stdout").caused_by(&error))
            }
            _ => Ok(()),
        }
    }
}

/// Writes bytes that nobody but the user is to read to a file.
pub(crate) fn deliver_private(bytes: &[u8], file: &Path) -> Result<(), Failure> {
    save(bytes, file, PRIVATE).map_err(|error| unwritable(file, &error))
}

/// Tells whether a result can be written to this file, before there is one.
pub(crate) fn check(file: &Path) -> Result<(), Failure> {
    let tried = match file.metadata() {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // A pipe would wait for its reader.
        Ok(there) if !there.is_file() => Ok(()),
        _ => beside(file, PRIVATE).map(drop),
    };
    tried.map_err(|error| unwritable(file, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("cannot write `{}`", path.display())).caused_by(error)
}

/// Writes a file whole or not at all: beside its place first, then moved there.
fn save(bytes: &[u8], path: &Path, mode: u32) -> io::Result<()> {
    // A device, a pipe or a link is written through, not replaced.
    let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
    if path.exists() && !path.is_file() {
        return std::fs::write(&path, bytes);
    }
    let mut file = beside(&path, mode)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

/// A new file in the folder of this one, to be moved into its place; with the mode of the old one, else this.
fn beside(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(mode, |old| old.permissions().mode());
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    builder.prefix(".pgwright-").tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::{check, deliver};

    #[test]
    fn a_file_is_replaced_whole_and_without_colour_codes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        std::fs::write(&path, "old and longer than the new one").unwrap();
        deliver("\u{1b}[1mnew\u{1b}[0m\n", Some(&path)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        deliver("new", Some(&link)).unwrap();
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_also_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        for place in [std::path::Path::new("/nowhere/at/all.sql"), folder.path()] {
            for failure in [deliver("x", Some(place)).unwrap_err(), check(place).unwrap_err()] {
                assert!(failure.render().contains(&format!("cannot write `{}`", place.display())));
            }
        }
        check(&folder.path().join("new.sql")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
