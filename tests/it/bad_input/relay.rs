//! Stands between the program and a server, and misbehaves.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What the relay does beside passing everything on.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    /// Replaces a text in what the server says by another of the same length.
    Replaces(&'static str, &'static str),
    /// Breaks the connection when the client says this.
    BreaksAt(&'static str),
    /// Keeps from the server what the client says from here on, and raises the flag.
    HoldsAt(&'static str, &'static AtomicBool),
    /// Takes connections and never answers.
    Silent,
}

/// Starts one in front of the server at this port of 127.0.0.1; returns its own port.
pub(super) fn relay(port: u16, manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // Ends when either side closes its connection.
            thread::spawn(move || serve(client, port, manner));
        }
    });
    own
}

fn serve(mut client: TcpStream, port: u16, manner: Manner) -> Option<()> {
    if matches!(manner, Manner::Silent) {
        client.read_to_end(&mut Vec::new()).ok()?;
        return None;
    }
    let server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let (from_server, to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || {
        pass(from_server, to_client, |bytes| {
            if let Manner::Replaces(old, new) = manner {
                replace(bytes, old.as_bytes(), new.as_bytes());
            }
            true
        });
    });
    pass(client, server, |bytes| match manner {
        Manner::BreaksAt(word) => !says(bytes, word),
        Manner::HoldsAt(word, held) => {
            if says(bytes, word) {
                held.store(true, Ordering::Release);
                // The server's end closes both connections meanwhile.
                thread::sleep(Duration::from_mins(1));
            }
            true
        }
        _ => true,
    });
    Some(())
}

fn says(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    while let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
        bytes[at..at + old.len()].copy_from_slice(new);
    }
}

/// Passes bytes on until one side closes or `look` returns false.
fn pass(mut from: TcpStream, mut to: TcpStream, look: impl Fn(&mut [u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !look(&mut buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        // The other direction may have closed it before.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
