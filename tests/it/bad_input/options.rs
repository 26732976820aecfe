//! Wrong options, wrong configuration, a journal asked for what it does not hold.

use std::path::Path;

use super::{
    CANARY, REFUSED, SHOP, USAGE, cli, cli_with, fails, fails_unchanged, fails_with, run, succeeds,
};
use crate::harness::database;

#[test]
fn wrong_options_are_named_with_what_is_expected() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["frobnicate"], &["unrecognized subcommand 'frobnicate'", "--help"]),
        (&["optimize", "--frobnicate"], &["unexpected argument '--frobnicate'", "--help"]),
        (&["optimize", "--storage-budget", "banana"], &["'banana'", "500MB, 2GB"]),
        (&["optimize", "--storage-budget=-1GB"], &["'-1GB'", "500MB, 2GB"]),
        (&["optimize", "--storage-budget", "9e99GB"], &["9e99GB", "a size such as"]),
        (&["optimize", "--min-confidence", "2"], &["'2'", "from 0.5 to 1.0"]),
        (&["optimize", "--min-confidence", "NaN"], &["'NaN'", "from 0.5 to 1.0"]),
        (&["optimize", "--limit", "0"], &["'0'", "at least 1"]),
        (&["optimize", "--min-mean-ms=-1"], &["'-1'", "milliseconds"]),
        (&["optimize", "--what-if", "magic"], &["'magic'", "auto, hypopg, twin, none"]),
        (&["optimize", "--format", "xml"], &["'xml'", "human, json, sql"]),
        (&["optimize", "-q", "-v"], &["cannot be used with"]),
        (&["rollback"], &["required", "--since", "--all"]),
        (&["rollback", "3", "--all"], &["cannot be used with"]),
        (&["rollback", "banana"], &["'banana'", "[ID]"]),
        (&["rollback", "--run", "banana"], &["'banana'", "number of a run", "pgwright log"]),
        (&["rollback", "--since", "banana"], &["'banana'", "2026-03-01T08:00:00Z", "2h"]),
        (
            &["verify", "--at-least", "10d", "--at-most", "1d"],
            &["--at-least (10.00 days)", "--at-most (1.00 days)"],
        ),
        (&["verify", "--every", "99999 weeks"], &["'99999 weeks'", "100 years at most"]),
        (&["doctor", "--grants", "--role", ""], &["is empty"]),
        (&["doctor", "--grants", "--role", "pg_x"], &["`pg_x`", "keeps for itself"]),
        (
            &[
                "doctor",
                "--grants",
                "--role",
                "an_owner_of_everything_with_a_name_of_sixty_three_bytes_exactly",
            ],
            &["63 bytes", "`_explain`", "room for 55"],
        ),
        (&["log", "banana"], &["'banana'", "[ID]"]),
        (&["rules", "no-such-rule"], &["no-such-rule"]),
    ];
    for (args, words) in cases {
        fails(args, USAGE, words);
    }
}

#[test]
fn a_wrong_environment_variable_is_named_by_its_option() {
    for (name, value, expected) in [
        ("PGWRIGHT_STORAGE_BUDGET", "banana", "--storage-budget"),
        ("PGWRIGHT_MIN_CONFIDENCE", "7", "--min-confidence"),
        ("PGSSLMODE", "maybe", "verify-full"),
        ("PGPORT", "banana", "PGPORT"),
    ] {
        let output = cli_with(&["optimize"], &[(name, value)], "");
        fails_with(&output, USAGE, &[value, expected]);
    }
}

#[test]
fn a_switch_in_the_environment_takes_a_few_words_only() {
    for (name, args) in [
        ("PGWRIGHT_APPLY", &["optimize"][..]),
        ("PGWRIGHT_QUIET", &["log"]),
        ("PGWRIGHT_TWIN_ANY_VERSION", &["optimize"]),
        ("PGWRIGHT_ROLLBACK", &["demo"]),
        ("PGWRIGHT_KEEP", &["demo"]),
    ] {
        for word in ["disabled", "none", "nein", "2"] {
            let output = cli_with(args, &[(name, word)], "");
            fails_with(&output, USAGE, &[name, word, "true, yes, on or 1", "false, no, off or 0"]);
        }
    }
    // What is understood gets as far as the server, which is not there.
    for word in ["true", "No", "false ", "0", ""] {
        let output = cli_with(&["log", "-d", "host=/nowhere"], &[("PGWRIGHT_QUIET", word)], "");
        assert_eq!(output.status, Some(3), "{word}: {output:?}");
        // A no contradicts nothing.
        let output =
            cli_with(&["log", "-v", "-d", "host=/nowhere"], &[("PGWRIGHT_QUIET", word)], "");
        assert_eq!(output.status, Some(if word == "true" { 2 } else { 3 }), "{word}: {output:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_takes_no_protection_away() {
    let Some(db) = database().await else { return };
    run(&db.connect().await, SHOP).await;
    db.sql("CREATE SCHEMA \"App\"; CREATE TABLE \"App\".\"Small\" (i int)").await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), "SELECT * FROM orders WHERE customer = 5;\n").unwrap();
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    let usual = ["optimize", "-d", &on, "--workload", &workload, "--what-if", "none"];
    for (given, words) in [
        (
            ["--exclude-table", "public.order"],
            "public.order: there is no such table; did you mean public.orders?",
        ),
        (["--exclude-table", "app.small"], "did you mean \"App\".\"Small\"?"),
        (["--exclude-table", "\"Orders\""], "did you mean orders?"),
        (
            ["--schema", "app"],
            "--schema app: there is no table in such a schema; did you mean \"App\"?",
        ),
    ] {
        let apply = [&usual[..], &given, &["--apply"]].concat();
        fails_unchanged(&db, &apply, USAGE, &[words]).await;
        let dry = cli(&[&usual[..], &given, &["--quiet"]].concat());
        assert_eq!(dry.status, Some(0), "{dry:?}");
        let told = dry.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.starts_with("warning: --") && told.contains(words), "{told}");
    }
    for given in
        ["orders", "Orders", "PUBLIC.orders", "public.\"orders\"", "App.Small", "\"App\".\"Small\""]
    {
        let dry = cli(&[&usual[..], &["--exclude-table", given]].concat());
        assert_eq!((dry.status, dry.stderr.as_str()), (Some(0), ""), "{given}: {dry:?}");
        assert!(dry.stdout.contains("1 tables are kept from any change"), "{given}: {dry:?}");
    }
}

#[test]
fn a_malformed_connection_is_explained_without_its_password() {
    let cases = [
        ("postgres://app:c4nary@127.0.0.1:port/shop", "no port number"),
        ("postgres://app:c4nary@[::1/shop", "lacks its `]`"),
        ("postgres://app:c4nary%zz@127.0.0.1/shop", "two hexadecimal digits"),
        ("postgres://app:c4nary@127.0.0.1/shop?sslmod=disable", "sslmod"),
        ("host=127.0.0.1 pasword=c4nary", "did you mean `password`?"),
        ("password='c4nary host=127.0.0.1", "quote"),
        ("password=c4nary host", "no `=`"),
        ("password=c4nary sslmode=maybe", "verify-full"),
        ("password=c4nary service=nowhere", "add a section [nowhere]"),
    ];
    for (connection, reason) in cases {
        fails(&["optimize", "-d", connection], USAGE, &[reason]);
    }
    let uri = "postgres://app:c4nary@127.0.0.1/shop";
    fails(&["optimize", uri], USAGE, &["a connection stands where none is expected", "-d"]);
}

#[test]
fn a_wrong_configuration_file_is_named_with_line_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    let secret = format!("database = 'postgres://app:{CANARY}@127.0.0.1:1/shop'\n");
    for (text, line, words) in [
        ("[optimize\n", 2, &["expected `]`"][..]),
        (
            "[optimize]\nstorage-budgett = '2GB'",
            3,
            &["unknown key", "did you mean `storage-budget`"],
        ),
        ("[optimise]\nlimit = 1", 2, &["unknown key `optimise`"]),
        ("[optimize]\nstorage-budget = 'banana'", 3, &["500MB"]),
        ("[optimize]\nmin-confidence = 2", 3, &["0.5 to 1.0"]),
        ("[optimize]\nlimit = [1]", 3, &["a whole number"]),
        ("[optimize]\napply = true", 3, &["unknown key `optimize.apply`", "--apply"]),
        ("databse = 'x'", 2, &["unknown key `databse`", "did you mean `database`"]),
    ] {
        std::fs::write(&path, format!("{secret}{text}")).unwrap();
        let file = path.to_str().unwrap();
        let place = format!("{file}:{line}: ");
        fails(&["optimize", "--config", file], USAGE, &[&[place.as_str()], words].concat());
    }
    std::fs::write(&path, b"database = '\xff'").unwrap();
    fails(&["optimize", "--config", path.to_str().unwrap()], USAGE, &["p.toml", "utf-8"]);
    for (path, reason) in [
        (Path::new("/nowhere/p.toml"), "No such file"),
        (folder.path(), "directory"),
        (Path::new("/dev/zero"), "more than 1 MiB"),
    ] {
        let named = format!("cannot read the configuration file `{}`", path.display());
        fails(&["log", "--config", path.to_str().unwrap()], USAGE, &[&named, reason]);
    }
}

#[tokio::test]
async fn a_journal_that_holds_no_such_thing_says_so() {
    let Some(db) = database().await else { return };
    let on = db.conninfo();
    let before = db.value(super::STATE).await;
    let empty = succeeds(&["log", "-d", &on]);
    assert!(empty.contains("journal is empty: pgwright has changed nothing"), "{empty}");
    let none = ["the journal has no action 999", "`pgwright log` lists them"];
    fails(&["log", "999", "-d", &on], USAGE, &none);
    fails(&["rollback", "999", "-d", &on], USAGE, &none);
    let unknown = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    for which in [
        &["--all"][..],
        &["--run", unknown],
        &["--since", "2h"],
        &["--since", "2999-01-01T00:00:00Z"],
    ] {
        let said = succeeds(&[&["rollback", "-d", &on], which].concat());
        assert!(said.contains("Nothing to undo"), "{said}");
    }
    assert_eq!(db.value(super::STATE).await, before);

    // A table of the journal's name that is not the journal is neither read nor written.
    db.sql("CREATE SCHEMA pgwright; CREATE TABLE pgwright.\"OptimizationLog\" (id int)").await;
    for args in [&["log"][..], &["rollback", "--all"]] {
        fails(&[args, &["-d", &on]].concat(), REFUSED, &["OptimizationLog"]);
    }
}
