//! The configuration: options go before environment variables (clap joins those two), these before files,
//! these before defaults.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use crate::cli::{Color, Global, OptimizeArgs, ReportFormat, WhatIf};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::limits::LimitArgs;
use crate::values::{ByteSize, Gate, Milliseconds, Wait, Whole};

/// Far more than every key needs.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A run that was killed holds its lock for some seconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// What one configuration file says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    database: Option<String>,
    explain_as: Option<String>,
    lock_wait: Option<Wait>,
    #[serde(rename = "log-file")]
    log: Option<PathBuf>,
    color: Option<Color>,
    optimize: OptimizeFile,
    limits: LimitArgs,
}

/// Its `[optimize]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct OptimizeFile {
    workload: Option<PathBuf>,
    min_confidence: Option<Gate>,
    storage_budget: Option<ByteSize>,
    limit: Option<Whole<1>>,
    min_calls: Option<Whole<0>>,
    min_mean_ms: Option<Milliseconds>,
    schema: Option<Vec<String>>,
    exclude_table: Option<Vec<String>>,
    what_if: Option<WhatIf>,
    format: Option<ReportFormat>,
    output: Option<PathBuf>,
}

/// Every key of a file.
const KEYS: &[&str] = &[
    "database",
    "explain-as",
    "lock-wait",
    "log-file",
    "color",
    "optimize.workload",
    "optimize.min-confidence",
    "optimize.storage-budget",
    "optimize.limit",
    "optimize.min-calls",
    "optimize.min-mean-ms",
    "optimize.schema",
    "optimize.exclude-table",
    "optimize.what-if",
    "optimize.format",
    "optimize.output",
];

/// What applies in the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The connection as given, URI or key=value.
    pub(crate) database: Option<String>,
    /// Who asks for plans: a role's name or a connection.
    pub(crate) explain_as: Option<String>,
    /// How long to wait for another run to end.
    pub(crate) lock_wait: Duration,
    /// Where to write down what happens.
    pub(crate) log_file: Option<PathBuf>,
    /// When to colour.
    pub(crate) color: Color,
    /// Limits of what changes something.
    pub(crate) limits: LimitArgs,
    /// For `optimize`.
    pub(crate) optimize: Optimize,
}

/// What applies to `optimize`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Optimize {
    /// Carry out what is above the gate.
    pub(crate) apply: bool,
    /// File or folder of statements.
    pub(crate) workload: Option<PathBuf>,
    /// The server's logs.
    pub(crate) logs: Vec<PathBuf>,
    /// The gate.
    pub(crate) min_confidence: f64,
    /// Bytes for all indexes of pgwright together.
    pub(crate) storage_budget: Option<u64>,
    /// Number of statements.
    pub(crate) limit: u32,
    /// Fewest calls.
    pub(crate) min_calls: u32,
    /// Least mean time in milliseconds.
    pub(crate) min_mean_ms: f64,
    /// Only these schemas; all when empty.
    pub(crate) schemas: Vec<String>,
    /// Not these tables.
    pub(crate) excluded_tables: Vec<String>,
    /// A snapshot's file, in place of a server.
    pub(crate) snapshot: Option<PathBuf>,
    /// Who prices.
    pub(crate) what_if: WhatIf,
    /// Whether a planner twin may be of another version.
    pub(crate) twin_any_version: bool,
    /// How long to watch what was applied.
    pub(crate) watch: Option<Duration>,
    /// Form of the report.
    pub(crate) format: ReportFormat,
    /// Where to write it.
    pub(crate) output: Option<PathBuf>,
}

/// Joins command line (with the environment already in it) and configuration files.
///
/// `home` is the folder of the user's own configuration, `here` the current folder.
pub(crate) fn settings(
    global: &Global,
    optimize: &OptimizeArgs,
    here: &Path,
    home: Option<&Path>,
) -> Result<Settings, Failure> {
    let files = if let Some(path) = &global.config {
        vec![read(path)?]
    } else {
        let near = Some(here.join("pgwright.toml"));
        let own = home.map(|home| home.join("pgwright").join("config.toml"));
        let present = [near, own].into_iter().flatten().filter(|path| path.exists());
        present.map(|path| read(&path)).collect::<Result<_, _>>()?
    };
    Ok(merge(global, optimize, &files))
}

/// The folder of the user's own configuration: `$XDG_CONFIG_HOME`, else `~/.config`.
pub(crate) fn home() -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))
}

fn merge(global: &Global, args: &OptimizeArgs, files: &[File]) -> Settings {
    /// The value given first: by the command line, then by one file after the other.
    fn first<T: Clone>(
        given: Option<&T>,
        files: &[File],
        of: impl Fn(&File) -> Option<&T>,
    ) -> Option<T> {
        given.or_else(|| files.iter().find_map(of)).cloned()
    }
    let list = |given: &Vec<String>, of: fn(&File) -> Option<&Vec<String>>| {
        first((!given.is_empty()).then_some(given), files, of).unwrap_or_default()
    };
    let sample = &args.sample;
    Settings {
        database: first(global.database.as_ref(), files, |file| file.database.as_ref()),
        explain_as: first(global.explain_as.as_ref(), files, |file| file.explain_as.as_ref())
            .filter(|given| !given.is_empty()),
        lock_wait: first(global.lock_wait.as_ref(), files, |file| file.lock_wait.as_ref())
            .map_or(LOCK_WAIT, |wait| wait.0),
        log_file: first(global.log_file.as_ref(), files, |file| file.log.as_ref()),
        color: first(global.color.as_ref(), files, |file| file.color.as_ref()).unwrap_or_default(),
        limits: files
            .iter()
            .fold(args.limits.clone().with(&global.manners), |given, file| given.or(&file.limits)),
        optimize: Optimize {
            apply: args.apply,
            snapshot: args.snapshot.clone(),
            watch: args.watch.map(|wait| wait.0),
            twin_any_version: args.twin_any_version,
            workload: first(sample.workload.as_ref(), files, |file| {
                file.optimize.workload.as_ref()
            }),
            logs: sample.log.clone(),
            min_confidence: first(args.min_confidence.as_ref(), files, |file| {
                file.optimize.min_confidence.as_ref()
            })
            .unwrap_or(Gate::DEFAULT)
            .0,
            storage_budget: first(args.storage_budget.as_ref(), files, |file| {
                file.optimize.storage_budget.as_ref()
            })
            .map(|size| size.0),
            limit: first(sample.limit.as_ref(), files, |file| file.optimize.limit.as_ref())
                .map_or(500, |limit| limit.0),
            min_calls: first(sample.min_calls.as_ref(), files, |file| {
                file.optimize.min_calls.as_ref()
            })
            .map_or(1, |calls| calls.0),
            min_mean_ms: first(sample.min_mean_ms.as_ref(), files, |file| {
                file.optimize.min_mean_ms.as_ref()
            })
            .map_or(0.0, |ms| ms.0),
            schemas: list(&args.schema, |file| file.optimize.schema.as_ref()),
            excluded_tables: list(&args.exclude_table, |file| file.optimize.exclude_table.as_ref()),
            what_if: first(args.what_if.as_ref(), files, |file| file.optimize.what_if.as_ref())
                .unwrap_or_default(),
            format: first(args.format.as_ref(), files, |file| file.optimize.format.as_ref())
                .unwrap_or_default(),
            output: first(args.output.as_ref(), files, |file| file.optimize.output.as_ref()),
        },
    }
}

fn read(path: &Path) -> Result<File, Failure> {
    let wrong = || {
        let message = format!("cannot read the configuration file `{}`", path.display());
        Failure::new(Exit::Usage, message)
    };
    let bytes = input::read_file(path, FILE_BYTES_MAX);
    let bytes = bytes.map_err(|error| wrong().caused_by(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| wrong().caused_by(&error))?;
    let mut file = parse(&text).map_err(|wrong| wrong.at(path, &text))?;
    // A relative path means a place beside the file that names it, from wherever pgwright is started.
    let folder = path.parent().unwrap_or(Path::new(""));
    let limits = &mut file.limits;
    let paths = [
        &mut file.optimize.workload,
        &mut file.optimize.output,
        &mut file.log,
        &mut limits.stop_file,
    ];
    for own in paths.into_iter().flatten() {
        *own = folder.join(&own);
    }
    Ok(file)
}

/// What is wrong with a file, and where.
#[derive(Debug)]
struct Wrong {
    message: String,
    hint: Option<String>,
    span: Option<Range<usize>>,
}

impl Wrong {
    fn at(self, path: &Path, text: &str) -> Failure {
        let line = self
            .span
            .map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        let place = match line {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        };
        let failure = Failure::new(Exit::Usage, format!("{place}: {}", self.message));
        match self.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        Self { message: error.message().to_owned(), hint: None, span: error.span() }
    }
}

fn parse(text: &str) -> Result<File, Wrong> {
    let mut unknown = Vec::new();
    let file: File = serde_ignored::deserialize(toml::Deserializer::parse(text)?, |path| {
        unknown.push(path.to_string());
    })?;
    match unknown.first() {
        None => Ok(file),
        Some(key) => Err(Wrong {
            message: format!("unknown key `{key}`"),
            hint: advice(key),
            span: DeTable::parse(text).ok().and_then(|table| span_of(table.get_ref(), key)),
        }),
    }
}

/// Where the key stands.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    table.iter().find_map(|(name, value)| {
        let rest = path.strip_prefix(name.get_ref().as_ref())?;
        match (rest.strip_prefix('.'), value.get_ref()) {
            (None, _) if rest.is_empty() => Some(name.span()),
            (Some(rest), DeValue::Table(inner)) => span_of(inner, rest),
            _ => None,
        }
    })
}

fn advice(key: &str) -> Option<String> {
    if key == "apply" || key == "optimize.apply" {
        return Some(
            "a file cannot turn a dry run into changes; give --apply or set PGWRIGHT_APPLY=true"
                .to_owned(),
        );
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().replace('_', "-");
    KEYS.iter()
        .chain(LimitArgs::KEYS)
        .map(|known| (strsim::normalized_damerau_levenshtein(&last(known), &last(key)), known))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| match known.split_once('.') {
            Some((table, name)) => format!("did you mean `{name}` in the table [{table}]?"),
            None => format!("did you mean `{known}` at the top of the file?"),
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::{KEYS, Settings, parse, settings};
    use crate::cli::{Cli, Color, Command, WhatIf};
    use crate::limits::LimitArgs;

    /// The settings of a command line beside files, as plain text.
    fn layered(line: &str, here: Option<&str>, home: Option<&str>) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("home");
        std::fs::create_dir_all(own.join("pgwright")).unwrap();
        for (path, text) in
            [(folder.path().join("pgwright.toml"), here), (own.join("pgwright/config.toml"), home)]
        {
            if let Some(text) = text {
                std::fs::write(path, text).unwrap();
            }
        }
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Optimize(args) = &cli.command else { panic!("not optimize") };
        settings(&cli.global, args, folder.path(), Some(&own)).map_err(|failure| {
            let text = anstream::adapter::strip_str(&failure.render()).to_string();
            text.replace(&folder.path().display().to_string(), "DIR")
        })
    }

    #[test]
    fn options_go_before_files_and_these_before_defaults() {
        let here = "database = 'here'\n[optimize]\nmin-confidence = 0.95\nlimit = 10";
        let home = "database = 'home'\ncolor = 'never'\n[optimize]\nlimit = 20\nstorage-budget = '1GB'\nschema = ['a']";
        let settings = layered(
            "pgwright optimize --min-confidence 0.99 --what-if none",
            Some(here),
            Some(home),
        )
        .unwrap();
        assert_eq!(settings.database.as_deref(), Some("here"));
        assert_eq!(settings.color, Color::Never);
        let optimize = settings.optimize;
        assert!((optimize.min_confidence - 0.99).abs() < 1e-9);
        assert_eq!((optimize.limit, optimize.min_calls), (10, 1));
        assert_eq!(optimize.storage_budget, Some(1 << 30));
        assert_eq!(optimize.schemas, ["a"]);
        assert_eq!(optimize.what_if, WhatIf::None);
        assert!(!optimize.apply);
    }

    #[test]
    fn without_files_the_defaults_apply() {
        let settings = layered("pgwright optimize", None, None).unwrap();
        assert_eq!(settings.database, None);
        assert!((settings.optimize.min_confidence - 0.90).abs() < 1e-9);
        assert_eq!(settings.optimize.limit, 500);
        assert_eq!((settings.lock_wait.as_secs(), settings.explain_as), (10, None));
    }

    #[test]
    fn what_cron_needs_can_stand_in_a_file() {
        let file = "explain-as = 'planner'\nlock-wait = '10min'\nlog-file = 'run.jsonl'";
        let settings = layered("pgwright optimize --explain-as other", Some(file), None).unwrap();
        assert_eq!(settings.explain_as.as_deref(), Some("other"));
        assert_eq!(settings.lock_wait.as_secs(), 600);
        assert!(settings.log_file.unwrap().is_absolute());
        let error = layered("pgwright optimize", Some("lock-wait = 'soon'"), None).unwrap_err();
        assert!(error.contains(":1: ") && error.contains("10min"), "{error}");
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_the_nearest_known_key() {
        let error = layered(
            "pgwright optimize",
            Some("database = 'x'\n[optimize]\nmin-confidense = 0.9\n"),
            None,
        );
        assert_eq!(
            error.unwrap_err(),
            "error: DIR/pgwright.toml:3: unknown key `optimize.min-confidense`\n\
             hint: did you mean `min-confidence` in the table [optimize]?\n"
        );
        let error = layered("pgwright optimize", Some("storage_budget = '2GB'"), None).unwrap_err();
        assert!(
            error.contains(":1: ") && error.contains("`storage-budget` in the table [optimize]"),
            "{error}"
        );
    }

    #[test]
    fn a_file_cannot_switch_apply_on() {
        let error =
            layered("pgwright optimize", Some("[optimize]\napply = true"), None).unwrap_err();
        assert!(error.contains("pgwright.toml:2") && error.contains("--apply"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line_and_what_is_expected() {
        for (value, expected) in [
            ("storage-budget = 'banana'", "500MB"),
            ("storage-budget = true", "2GB"),
            ("min-confidence = 0.3", "0.5 to 1.0"),
            ("limit = 0", "at least 1"),
            ("min-mean-ms = -1", "milliseconds"),
            ("what-if = 'magic'", "hypopg"),
            ("min-calls = 'x'", "a whole number"),
        ] {
            let error = layered("pgwright optimize", Some(&format!("[optimize]\n\n{value}")), None)
                .unwrap_err();
            assert!(error.contains("pgwright.toml:3: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_with_its_line() {
        let error =
            layered("pgwright optimize", Some("database = 'x'\n[optimize\n"), None).unwrap_err();
        assert!(error.contains("pgwright.toml:2: "), "{error}");
    }

    #[test]
    fn a_configuration_file_that_was_asked_for_must_be_there() {
        let error = layered("pgwright optimize --config /nowhere/x.toml", None, None).unwrap_err();
        assert!(error.contains("`/nowhere/x.toml`"), "{error}");
    }

    #[test]
    fn paths_in_a_file_are_relative_to_it() {
        let settings =
            layered("pgwright optimize", None, Some("[optimize]\nworkload = 'queries'")).unwrap();
        assert!(settings.optimize.workload.unwrap().ends_with(Path::new("home/pgwright/queries")));
    }

    #[test]
    fn every_known_key_is_read() {
        for key in KEYS.iter().chain(LimitArgs::KEYS) {
            let value = match *key {
                "limits.window" => "'Sat 02:00-05:00'",
                "limits.disk-free" | "limits.max-build-bytes" | "limits.max-lag" => "'1GB'",
                "limits.max-indexes" => "8",
                "limits.max-block" | "limits.lock-timeout" | "limits.max-build-time" => "'5s'",
                "limits.waive-guard" => "['index_count']",
                "optimize.min-confidence" => "0.9",
                "color" | "optimize.what-if" => "'auto'",
                "optimize.format" => "'human'",
                "lock-wait" => "'10min'",
                "optimize.schema" | "optimize.exclude-table" => "['a']",
                "optimize.limit"
                | "optimize.min-calls"
                | "optimize.min-mean-ms"
                | "optimize.storage-budget" => "1",
                _ => "'a'",
            };
            assert!(parse(&format!("{key} = {value}")).is_ok(), "{key}");
        }
    }
}
