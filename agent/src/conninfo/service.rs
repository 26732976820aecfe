//! The connection service file, `pg_service.conf`.
//!
//! Source: PostgreSQL documentation, "The Connection Service File". The system-wide folder is
//! compiled into libpq; where `PGSYSCONFDIR` does not name one, the two usual ones are tried.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ConnInfoError;
use super::parameters::{Origin, Settings, find, similar};

/// System-wide folders of Debian's and of the RPM packages' libpq.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql"];

/// Fills what is not set yet from the service that the settings name, if they name one.
pub(super) fn fill(
    settings: &mut Settings,
    env: &dyn Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> Result<(), ConnInfoError> {
    for name in ["service", "servicefile"] {
        let parameter = find(name).expect("both are in the table");
        let variable = parameter.env.expect("both have a variable");
        if let Some(value) = env(variable) {
            settings.set_missing(parameter, value, &Origin::Environment(variable));
        }
    }
    let Some(service) = settings.get("service").map(str::to_owned) else { return Ok(()) };
    let files = candidates(settings, env, home);
    for (path, must_exist) in &files {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => continue,
            Err(source) => {
                return Err(ConnInfoError::ReadServiceFile { path: path.clone(), source });
            }
        };
        if read_section(settings, &text, &service, path)? {
            return Ok(());
        }
    }
    let searched: Vec<_> = files.iter().map(|(path, _)| format!("`{}`", path.display())).collect();
    Err(ConnInfoError::UnknownService {
        origin: settings.origin("service"),
        name: service.escape_debug().to_string(),
        searched: searched.join(" or "),
    })
}

/// The files to read, in order, each with whether it was asked for by name.
fn candidates(
    settings: &Settings,
    env: &dyn Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> Vec<(PathBuf, bool)> {
    let mut files = Vec::new();
    match (settings.get("servicefile"), home) {
        (Some(named), _) => files.push((PathBuf::from(named), true)),
        (None, Some(home)) => files.push((home.join(".pg_service.conf"), false)),
        (None, None) => {}
    }
    let named = env("PGSYSCONFDIR").filter(|folder| !folder.is_empty());
    let folders = named.as_deref().map_or_else(|| SYSTEM_FOLDERS.to_vec(), |one| vec![one]);
    files.extend(folders.iter().map(|f| (Path::new(f).join("pg_service.conf"), false)));
    files
}

/// Takes what the section of that name says; returns whether there is one.
fn read_section(
    settings: &mut Settings,
    text: &str,
    service: &str,
    path: &Path,
) -> Result<bool, ConnInfoError> {
    let origin = Origin::Service { name: service.to_owned(), file: path.to_owned() };
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |problem: &str| ConnInfoError::ServiceLine {
            path: path.to_owned(),
            line: index + 1,
            problem: problem.to_owned(),
        };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if inside {
                return Ok(true);
            }
            inside = header.strip_suffix(']') == Some(service);
            continue;
        }
        if !inside {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(wrong("a line is parameter=value; this one has no `=`"));
        };
        match find(name) {
            Some(parameter) if matches!(parameter.name, "service" | "servicefile") => {
                return Err(wrong("a service cannot refer to another service"));
            }
            Some(parameter) => settings.set_missing(parameter, value.to_owned(), &origin),
            None => {
                return Err(wrong(&similar(name).map_or_else(
                    || "it does not begin with the name of a connection parameter".to_owned(),
                    |known| format!("unknown parameter; did you mean `{known}`?"),
                )));
            }
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::fill;
    use std::fs;

    #[test]
    fn the_section_fills_only_what_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let text = "[other]\nhost=wrong\n\n [shop] \nhost=db.example\nport=6432\n#x\npassword=a=b\n[z]\nuser=z\n";
        fs::write(home.path().join(".pg_service.conf"), text).unwrap();
        let mut settings = parse("service=shop port=1").unwrap();
        fill(&mut settings, &|_| None, Some(home.path())).unwrap();
        let read = ["host", "port", "password", "user"].map(|name| settings.get(name));
        assert_eq!(read, [Some("db.example"), Some("1"), Some("a=b"), None]);
        assert!(settings.origin("host").to_string().contains("service `shop` of"));
    }

    #[test]
    fn the_system_file_comes_second_and_a_named_file_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let folder_name = folder.path().to_str().unwrap().to_owned();
        fs::write(folder.path().join("pg_service.conf"), "[shop]\nuser=app\n").unwrap();
        let env = |name: &str| match name {
            "PGSERVICE" => Some("shop".to_owned()),
            "PGSYSCONFDIR" => Some(folder_name.clone()),
            _ => None,
        };
        let mut settings = parse("").unwrap();
        fill(&mut settings, &env, Some(folder.path())).unwrap();
        assert_eq!(settings.get("user"), Some("app"));

        let mut settings = parse("service=shop servicefile=/nowhere/services").unwrap();
        let error = fill(&mut settings, &env, None).unwrap_err().to_string();
        assert!(error.contains("`/nowhere/services` cannot be read"), "{error}");

        let mut settings = parse("service=gone").unwrap();
        let error = fill(&mut settings, &env, None).unwrap_err().to_string();
        assert!(error.contains("service `gone`") && error.contains(&folder_name), "{error}");
    }

    #[test]
    fn bad_lines_are_named_by_number_and_never_quoted() {
        let home = tempfile::tempdir().unwrap();
        for (line, expected) in [
            ("host = x", "parameter; did you mean `host`?"),
            ("passwd=s3cret", "did you mean `password`"),
            ("s3cret", "no `=`"),
            ("service=other", "another service"),
        ] {
            fs::write(home.path().join(".pg_service.conf"), format!("[shop]\n{line}\n")).unwrap();
            let mut settings = parse("service=shop").unwrap();
            let error = fill(&mut settings, &|_| None, Some(home.path())).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("line 2"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
