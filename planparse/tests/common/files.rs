//! The corpus of plans and its files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The corpus, which lies beside the repository or where `PGWRIGHT_CORPUS` says; none, said loudly, without it.
pub(crate) fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("PGWRIGHT_CORPUS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/plans");
    let folder = given.unwrap_or_else(beside);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set, but there is no corpus at {}",
        folder.display()
    );
    // Straight to stderr: the test harness would swallow what a passing test prints.
    let message = format!(
        "SKIPPED: there is no corpus of plans at {}; set PGWRIGHT_CORPUS\n",
        folder.display()
    );
    std::io::stderr().write_all(message.as_bytes()).expect("stderr takes a line");
    None
}

/// Adds every file below a folder, but for its own table of contents.
pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension != "tsv") {
            found.push(path);
        }
    }
}
