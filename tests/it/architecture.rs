//! The shape of the workspace, held by tests: which crate may know what.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The names of a workspace package's dependencies that are no dev- or build-dependencies.
fn normal_dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package).unwrap();
    let dependencies = found["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

fn assert_none_of(package: &str, forbidden: &[&str]) {
    let dependencies = normal_dependencies(package);
    let wrong: Vec<_> = forbidden.iter().filter(|name| dependencies.contains(**name)).collect();
    assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
}

fn assert_ours(package: &str, allowed: &[&str]) {
    let dependencies = normal_dependencies(package);
    let ours: Vec<_> = dependencies.iter().filter(|name| name.starts_with("pgwright")).collect();
    assert_eq!(ours, allowed, "what {package} depends on in this workspace");
}

#[test]
fn dependencies_point_one_way() {
    assert_ours("pgwright-planparse", &[]);
    assert_ours("pgwright-rules", &["pgwright-planparse"]);
    assert_ours("pgwright-agent", &["pgwright-planparse", "pgwright-rules"]);
}

/// An allow-list: whatever else comes in could bring a clock, a socket or randomness along.
#[test]
fn the_pure_crates_know_no_network_and_no_runtime() {
    let allowed = |package: &str, wanted: &[&str]| {
        let dependencies = normal_dependencies(package);
        let names: Vec<&str> = dependencies.iter().map(String::as_str).collect();
        assert_eq!(names, wanted, "what {package} depends on; is a new one free of I/O?");
    };
    allowed("pgwright-planparse", &["petgraph", "quick-xml", "serde", "serde_json", "thiserror"]);
    allowed(
        "pgwright-rules",
        &[
            "chrono",
            "petgraph",
            "pg_query",
            "pgwright-planparse",
            "serde",
            "serde_json",
            "sha2",
            "sqlparser",
            "statrs",
            "thiserror",
        ],
    );
}

#[test]
fn the_agent_knows_no_terminal_and_alone_talks_to_postgresql() {
    let terminal = ["clap", "indicatif", "anstream", "anstyle", "comfy-table", "anyhow"];
    assert_none_of("pgwright-agent", &terminal);
    assert!(normal_dependencies("pgwright-agent").contains("tokio-postgres"));
    for package in ["pgwright", "pgwright-rules", "pgwright-planparse"] {
        assert_none_of(package, &["tokio-postgres", "rustls"]);
    }
}

/// What the pure crates' own clippy settings must name: clocks, environment, files, terminal, network, processes,
/// threads, and what is in no order.
const FORBIDDEN: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::env::args",
    "std::env::args_os",
    "std::env::current_dir",
    "std::env::current_exe",
    "std::env::temp_dir",
    "std::env::var",
    "std::env::var_os",
    "std::env::vars",
    "std::env::vars_os",
    "std::fs::DirBuilder",
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::fs::canonicalize",
    "std::fs::copy",
    "std::fs::create_dir",
    "std::fs::create_dir_all",
    "std::fs::exists",
    "std::fs::hard_link",
    "std::fs::metadata",
    "std::fs::read",
    "std::fs::read_dir",
    "std::fs::read_link",
    "std::fs::read_to_string",
    "std::fs::remove_dir",
    "std::fs::remove_dir_all",
    "std::fs::remove_file",
    "std::fs::rename",
    "std::fs::set_permissions",
    "std::fs::symlink_metadata",
    "std::fs::write",
    "std::hash::RandomState",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os::unix::net::UnixDatagram",
    "std::os::unix::net::UnixListener",
    "std::os::unix::net::UnixStream",
    "std::process::Command",
    "std::process::Command::new",
    "std::process::abort",
    "std::process::exit",
    "std::process::id",
    "std::thread::Builder",
    "std::thread::available_parallelism",
    "std::thread::current",
    "std::thread::scope",
    "std::thread::sleep",
    "std::thread::spawn",
    "std::time::Instant",
    "std::time::Instant::now",
    "std::time::SystemTime",
    "std::time::SystemTime::now",
];

#[test]
fn the_pure_crates_forbid_clocks_files_environment_and_threads() {
    for crate_folder in ["planparse", "rules"] {
        let path = Path::new(ROOT).join(crate_folder).join("clippy.toml");
        let text = fs::read_to_string(&path).unwrap();
        let settings: toml::Table = text.parse().unwrap();
        let entries = ["disallowed-methods", "disallowed-types"]
            .into_iter()
            .filter_map(|key| settings.get(key)?.as_array())
            .flatten();
        let forbidden: BTreeSet<&str> =
            entries.filter_map(|entry| entry.get("path").unwrap_or(entry).as_str()).collect();
        for needed in FORBIDDEN {
            assert!(forbidden.contains(needed), "{} misses {needed}", path.display());
        }
    }
}

#[test]
fn one_module_wraps_each_library() {
    assert_named_only_in("tokio_postgres", &["agent/src/postgres"]);
    assert_named_only_in("pg_query", &["rules/src/sql", "rules/src/statement"]);
}

/// Fails when code outside of these modules (a file, or a folder of that name) uses a library.
fn assert_named_only_in(library: &str, modules: &[&str]) {
    let (path, import) = (format!("{library}::"), format!("use {library}"));
    for file in rust_files(&["agent/src", "rules/src", "planparse/src", "src"]) {
        let relative = file.strip_prefix(ROOT).unwrap().to_str().unwrap();
        let allowed = modules.iter().any(|module| {
            relative.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
        let text = fs::read_to_string(&file).unwrap();
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let found = lines.find(|line| line.contains(&path) || line.contains(&import));
        assert!(allowed || found.is_none(), "{relative} uses {library}: {}", found.unwrap_or(""));
    }
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    // Put together, so that this file does not find itself.
    let marks = [["#[", "ignore"], ["#[", "allow("], ["to", "do!("], ["unimple", "mented!("]];
    let marks = marks.map(|parts| parts.concat());
    for file in rust_files(&["agent", "rules", "planparse", "src", "tests", "benches", "examples"])
    {
        let text = fs::read_to_string(&file).unwrap();
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} has {mark}", file.display());
        }
    }
}

/// Comments are sent as well, and a server refuses what the encoding of its database cannot hold.
#[test]
fn queries_are_of_characters_that_every_encoding_has() {
    let queries = files(&["agent/src"], "sql");
    assert!(queries.len() > 30, "{queries:?}");
    for path in queries {
        assert!(fs::read_to_string(&path).unwrap().is_ascii(), "{}", path.display());
    }
}

#[test]
fn every_test_file_is_part_of_the_binary() {
    let folder = Path::new(ROOT).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let declared = main.lines().any(|line| line.trim() == format!("mod {name};"));
        assert!(name == "main" || declared, "tests/it/main.rs lacks `mod {name};`");
    }
}

fn rust_files(folders: &[&str]) -> Vec<PathBuf> {
    files(folders, "rs")
}

/// The files with this ending in these folders of the workspace and below.
fn files(folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> =
        folders.iter().map(|folder| Path::new(ROOT).join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                files.push(path);
            }
        }
    }
    files
}
