//! A private PostgreSQL server with TLS, shared by the tests of this binary.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The password of every role that has one. Nothing may ever print it.
pub(crate) const CANARY: &str = "c4nary p@ss/w%rd'\\:x";

/// The canary as it stands in a URI.
pub(crate) const CANARY_IN_URI: &str = "c4nary%20p%40ss%2Fw%25rd%27%5C%3Ax";

/// The canary as it stands in a password file.
pub(crate) const CANARY_IN_FILE: &str = r"c4nary p@ss/w%rd'\\\:x";

pub(crate) struct Server {
    /// Holds certificates, the socket, and the data.
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// Whose open standard input keeps the server alive: it stops when this process ends,
    /// however that happens.
    _keeper: Child,
}

/// Returns the server, or nothing where none can be started; under CI that is a failure.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

fn start() -> Option<Server> {
    let missing = match (binaries(), runs("openssl", &["version"])) {
        (Some(bin), true) => return Some(Server::start(&bin)),
        (None, _) => "no PostgreSQL server binaries (set PGWRIGHT_TEST_PG_BIN)",
        (_, false) => "no openssl command",
    };
    assert!(std::env::var_os("CI").is_none(), "cannot test connections: {missing}");
    // Not with a macro, whose output is shown only of tests that fail.
    let loud = format!("SKIPPED: tests of connections need a server; {missing}\n");
    std::io::stderr().write_all(loud.as_bytes()).unwrap();
    None
}

/// The newest server's `bin` folder.
fn binaries() -> Option<PathBuf> {
    let named = std::env::var_os("PGWRIGHT_TEST_PG_BIN").map(PathBuf::from);
    let packaged = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let newest = versions
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .max()?;
        Some(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
    };
    named.or_else(packaged).filter(|bin| bin.join("initdb").exists())
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// PostgreSQL refuses to run as root: then it runs as the user `postgres`.
fn account() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    Some((id(&["-u", "postgres"]).unwrap(), id(&["-g", "postgres"]).unwrap()))
}

fn as_server_user(program: &Path) -> Command {
    let Some((user, group)) = account() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
    command.arg(program);
    command
}

impl Server {
    fn start(bin: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("pgwright-connect-").tempdir().unwrap().keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        make_certificates(&folder);
        if let Some((user, group)) = account() {
            chown(&folder, Some(user), Some(group)).unwrap();
            chown(folder.join("server.key"), Some(user), Some(group)).unwrap();
        }
        let data = folder.join("data");
        let port = free_port();
        run(as_server_user(&bin.join("initdb"))
            .args(["--no-sync", "--locale=C", "--encoding=UTF8", "-A", "trust", "-U", "postgres"])
            .arg("-D")
            .arg(&data)
            .current_dir("/"));
        configure(&folder, &data, port);
        let log = fs::File::create(folder.join("server.log")).unwrap();
        let keeper = as_server_user(Path::new("sh"))
            .args(["-c", "\"$1\" -D \"$2\" & read -r line; kill -INT $!; wait; rm -rf \"$3\"", "-"])
            .args([&bin.join("postgres"), &data, &folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .current_dir("/")
            .spawn()
            .unwrap();
        let server = Self { folder, port, _keeper: keeper };
        server.wait_until_it_answers();
        server
    }

    fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server did not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The path of a file in the server's folder.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An authority, a server certificate for `localhost` only, a client certificate for the role
/// `by_certificate`, and an authority that has signed nothing.
fn make_certificates(folder: &Path) {
    let openssl = |args: &str| {
        run(Command::new("openssl").args(args.split_whitespace()).current_dir(folder));
    };
    fs::write(folder.join("server.ext"), "subjectAltName=DNS:localhost\n").unwrap();
    fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for authority in ["root", "other"] {
        openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -subj /CN={authority} -keyout {authority}.key -out {authority}.crt"
        ));
    }
    for (name, subject) in [("server", "ignored"), ("client", "by_certificate")] {
        openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={subject} \
             -keyout {name}.key -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA root.crt -CAkey root.key -CAcreateserial -days 2 \
             -extfile {name}.ext -out {name}.crt"
        ));
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join(format!("{name}.key")), private).unwrap();
    }
}

fn configure(folder: &Path, data: &Path, port: u16) {
    let shown = folder.display();
    let settings = format!(
        "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{shown}'\n\
         fsync = off\nssl = on\nssl_cert_file = '{shown}/server.crt'\n\
         ssl_key_file = '{shown}/server.key'\nssl_ca_file = '{shown}/root.crt'\n\
         shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = all\n\
         password_encryption = 'scram-sha-256'\n"
    );
    let file = data.join("postgresql.conf");
    let old = fs::read_to_string(&file).unwrap();
    fs::write(&file, old + &settings).unwrap();
    let rules = "local all app scram-sha-256\n\
                 local all all trust\n\
                 hostssl all by_certificate all cert\n\
                 hostssl all only_tls all scram-sha-256\n\
                 hostnossl all only_plain all scram-sha-256\n\
                 host all only_tls,only_plain all reject\n\
                 host all all all scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
}
