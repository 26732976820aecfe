//! Files as the user names them, read with a limit: a device or a pipe need not end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a file that holds no more than this many bytes.
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read(File::open(path)?, bytes_max)
}

/// Reads to the end, which must come within this many bytes.
pub(crate) fn read(source: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let message = format!("it holds more than {} MiB", bytes_max >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_does_not_end_is_given_up() {
        assert_eq!(read(&[7; 20][..], 20).unwrap().len(), 20);
        let error = read(std::io::repeat(7), 2 << 20).unwrap_err();
        assert_eq!(error.to_string(), "it holds more than 2 MiB");
    }
}
