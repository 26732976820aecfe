//! The file of `pgwright snapshot`: a snapshot as JSON, compressed by gzip, with a version.
//!
//! `gzip -dc FILE | jq .` shows all that is in it. The form is described in docs/snapshot.md.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rules::snapshot::{FORMAT, Snapshot};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// A schema of a hundred thousand columns with full statistics takes about 1 GiB unpacked.
const BYTES_MAX: u64 = 4 << 30;
/// The first two bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Held<S> {
    /// The version of the form, [`FORMAT`]; its name says what kind of file this is.
    pgwright_snapshot: u32,
    /// The pgwright that wrote it.
    pgwright: String,
    snapshot: S,
}

/// The version alone, which any later form keeps.
#[derive(Deserialize)]
struct Version {
    pgwright_snapshot: Option<u32>,
}

/// Writes a snapshot into a file that only the user may read.
pub(crate) fn write(snapshot: &Snapshot, path: &Path) -> Result<u64, Failure> {
    let held = Held {
        pgwright_snapshot: FORMAT,
        pgwright: env!("CARGO_PKG_VERSION").to_owned(),
        snapshot,
    };
    let internal = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(Exit::Internal, "cannot write the snapshot down").caused_by(error)
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut packed, &held).map_err(|error| internal(&error))?;
    let bytes = packed.flush().and_then(|()| packed.finish()).map_err(|error| internal(&error))?;
    output::deliver_private(&bytes, path)?;
    Ok(bytes.len() as u64)
}

/// Reads a snapshot from a file, packed or unpacked.
pub(crate) fn read(path: &Path) -> Result<Snapshot, Failure> {
    let name = path.display();
    let wrong = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(Exit::Usage, format!("cannot read the snapshot `{name}`")).caused_by(error)
    };
    let bytes = input::read_file(path, BYTES_MAX).map_err(|error| wrong(&error))?;
    let json = unpacked(bytes).map_err(|error| {
        wrong(&error).hint("the file was cut off or changed on its way; copy it again")
    })?;
    // A list would do for a struct as well.
    let object = json.trim_ascii_start().starts_with(b"{");
    let version = serde_json::from_slice::<Version>(&json).ok().filter(|_| object);
    let version = version.and_then(|version| version.pgwright_snapshot);
    match version {
        Some(FORMAT) => {}
        Some(other) => {
            let message = format!(
                "the snapshot `{name}` has form {other}, and this pgwright reads form {FORMAT}"
            );
            return Err(Failure::new(Exit::Usage, message)
                .hint("take it again with this pgwright, or read it with the one that wrote it"));
        }
        None => {
            let message = format!("`{name}` is no snapshot");
            return Err(Failure::new(Exit::Usage, message)
                .hint("`pgwright snapshot -d URL -o FILE` makes one"));
        }
    }
    let held: Held<Snapshot> = serde_json::from_slice(&json).map_err(|error| wrong(&error))?;
    Ok(held.snapshot)
}

fn unpacked(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut json = Vec::new();
    GzDecoder::new(&*bytes).take(BYTES_MAX + 1).read_to_end(&mut json)?;
    if json.len() as u64 > BYTES_MAX {
        let message = format!("it holds more than {} GiB unpacked", BYTES_MAX >> 30);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rules::testing::snapshot;

    use super::{read, write};

    fn refusal(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, bytes).unwrap();
        let text = read(&path).unwrap_err().render();
        let text = anstream::adapter::strip_str(&text).to_string();
        text.replace(&folder.path().display().to_string(), "DIR")
    }

    fn written(folder: &tempfile::TempDir) -> (PathBuf, Vec<u8>) {
        let path = folder.path().join("shop.pgwright");
        write(&snapshot("t(id int8 pk, note text) 100000"), &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    }

    #[test]
    fn what_was_written_is_read_again_packed_and_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = written(&folder);
        let seen = read(&path).unwrap();
        assert_eq!(seen, snapshot("t(id int8 pk, note text) 100000"));
        std::fs::write(&path, super::unpacked(bytes).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), seen);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = written(&folder);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_snapshot_is_said_with_what_to_do() {
        for other in [&b"SELECT 1;"[..], b"", b"{\"a\": 1}", b"[1]", b"\x89PNG"] {
            let text = refusal(other);
            assert!(text.contains("`DIR/x` is no snapshot"), "{text}");
            assert!(text.contains("pgwright snapshot -d URL -o FILE"), "{text}");
        }
        let text = refusal(b"{\"pgwright_snapshot\": 99, \"shape\": \"unknown\"}");
        assert!(text.contains("has form 99"), "{text}");
        let text = refusal(b"{\"pgwright_snapshot\": 1, \"pgwright\": \"1\", \"snapshot\": {}}");
        assert!(text.contains("missing field"), "{text}");
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, bytes) = written(&folder);
        for keep in [3, 20, bytes.len() / 2, bytes.len() - 1] {
            let text = refusal(&bytes[..keep]);
            assert!(text.contains("copy it again"), "{keep}: {text}");
        }
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x40;
        assert!(refusal(&flipped).contains("cannot read the snapshot"));
    }
}
