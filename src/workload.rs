//! Statements and real calls from files: `--workload FILE|DIR`, `--log FILE`.

use std::path::{Path, PathBuf};

use rules::intake::{LogFile, WorkloadFile};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;

/// A file larger than this is no workload but a dump, and would be parsed for minutes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A log larger than this takes too long; a part of it tells as much.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// Reads a log of the server.
pub(crate) fn log(path: &Path) -> Result<LogFile, Failure> {
    let bytes = input::read_file(path, LOG_BYTES_MAX).map_err(|error| {
        let large = error.kind() == std::io::ErrorKind::FileTooLarge;
        let failure =
            Failure::new(Exit::Usage, format!("cannot read the log `{}`", path.display()))
                .caused_by(&error);
        if large { failure.hint("give a part of it, for instance its last hour") } else { failure }
    })?;
    // A log holds what clients sent, in whatever encoding.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(LogFile { name: path.display().to_string(), text })
}

/// Reads a file, or the `.sql` files of a folder by name.
pub(crate) fn read(path: &Path) -> Result<Vec<WorkloadFile>, Failure> {
    let sources: Vec<WorkloadFile> =
        files(path)?.iter().map(|file| one(file)).collect::<Result<_, _>>()?;
    if sources.iter().all(|source| source.text.trim().is_empty()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("the workload `{}` is empty", path.display()),
        )
        .hint("give SQL statements, each ended by a semicolon"));
    }
    Ok(sources)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(Exit::Usage, format!("cannot read the workload `{}`", path.display()))
            .caused_by(&error)
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"))
            && file.is_file()
        {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            format!("the folder `{}` holds no .sql file", path.display()),
        ));
    }
    files.sort();
    Ok(files)
}

fn one(path: &Path) -> Result<WorkloadFile, Failure> {
    let wrong = |why: String| {
        Failure::new(Exit::Usage, format!("cannot read the workload `{}`: {why}", path.display()))
    };
    let bytes = input::read_file(path, FILE_BYTES_MAX).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + String::from_utf8_lossy(&error.as_bytes()[..good]).matches('\n').count();
        wrong(format!("line {line} is not UTF-8"))
            .hint("convert it, for instance with `iconv -t UTF-8`")
    })?;
    let text = text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned);
    Ok(WorkloadFile { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_folder_gives_its_sql_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("b.sql", "SELECT 2"), ("a.SQL", "\u{feff}SELECT 1;"), ("notes.txt", "no")]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let texts: Vec<String> =
            read(folder.path()).unwrap().into_iter().map(|source| source.text).collect();
        assert_eq!(texts, ["SELECT 1;", "SELECT 2"]);
        assert_eq!(read(&folder.path().join("notes.txt")).unwrap()[0].text, "no");
    }

    #[test]
    fn a_log_need_not_be_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pg.log");
        std::fs::write(&file, b"LOG:  statement: SELECT 'M\xfcller'").unwrap();
        assert!(super::log(&file).unwrap().text.starts_with("LOG:  statement: SELECT 'M"));
        let failure = super::log(folder.path()).unwrap_err();
        assert_eq!(failure.exit, crate::exit::Exit::Usage);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        let message = |path: &std::path::Path| {
            let failure = read(path).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Usage);
            failure.render()
        };
        assert!(message(&file).contains("x.sql"));
        assert!(message(folder.path()).contains("holds no .sql file"));
        std::fs::write(&file, " \n").unwrap();
        assert!(message(&file).contains("is empty"));
        std::fs::write(&file, b"SELECT 1;\nSELECT '\xff'").unwrap();
        assert!(message(&file).contains("line 2 is not UTF-8"));
    }
}
