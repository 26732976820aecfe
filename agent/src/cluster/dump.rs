//! The schema of a database, as `pg_dump` writes it.

use std::path::PathBuf;
use std::process::Command;

use super::binaries::Binaries;
use super::{Cluster, ClusterError, output};

impl Cluster {
    /// Returns what `pg_dump --schema-only` prints of a database, without one schema; `None` where no `pg_dump`
    /// of the server's major version is installed.
    ///
    /// Two dumps of the same definitions are the same text: the random key of the `\restrict` lines, which
    /// releases since August 2025 print, is left out.
    ///
    /// # Errors
    /// When `pg_dump` cannot be run or fails.
    pub async fn dump_schema(
        &self,
        database: &str,
        except: &str,
    ) -> Result<Option<String>, ClusterError> {
        let Some(program) = self.pg_dump() else { return Ok(None) };
        let mut command = Command::new(program);
        self.prepare(&mut command);
        command.args(["--schema-only", "--exclude-schema", except, "--dbname"]);
        command.arg(self.conninfo(database));
        let output = output(command).await?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ClusterError::Dump { output: text });
        }
        Ok(Some(without_random_keys(&String::from_utf8_lossy(&output.stdout))))
    }

    /// Beside the server, where packages put it; or with another installation of the same version.
    fn pg_dump(&self) -> Option<PathBuf> {
        let own = std::iter::once(self.binaries.clone());
        let same = |found: &Binaries| found.major == self.binaries.major;
        let others = std::iter::once_with(Binaries::find_all).flatten().filter(same);
        own.chain(others).map(|found| found.bin.join("pg_dump")).find(|program| program.is_file())
    }
}

fn without_random_keys(dump: &str) -> String {
    let random = |line: &&str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
    dump.split_inclusive('\n').filter(|line| !random(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::without_random_keys;

    #[test]
    fn only_the_lines_with_random_keys_are_left_out() {
        let dump = "--\n\\restrict x7Zk\n\nCREATE TABLE a ();\n\\unrestrict x7Zk\n";
        assert_eq!(without_random_keys(dump), "--\n\nCREATE TABLE a ();\n");
    }
}
