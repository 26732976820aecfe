//! Programs that stand between us and a server, or in its place, and misbehave.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// What the middleman does.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Passes everything on, but the server has no TLS.
    NoTls,
    /// A pooler in session mode: refuses start-up options as `PgBouncer` does.
    RefusesOptions,
    /// Replaces a text in what the server says with another of the same length.
    Replaces(String, String),
    /// Takes connections and says nothing.
    Silent,
    /// Speaks another protocol.
    Foreign,
    /// Passes on, until the client says this; then it breaks the connection.
    BreaksOff(&'static str),
}

/// Starts one in front of the server at `port`; returns its own port.
pub(crate) fn middleman(port: u16, manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let manner = manner.clone();
            // Ends when either side closes its connection.
            thread::spawn(move || serve(client, port, &manner));
        }
    });
    own
}

fn serve(mut client: TcpStream, port: u16, manner: &Manner) -> Option<()> {
    let mut first = packet(&mut client)?;
    match manner {
        Manner::Silent => {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).ok()?;
            return None;
        }
        Manner::Foreign => return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok(),
        _ => {}
    }
    // SSLRequest, whose code is 1234 5679.
    if first[4..8] == [4, 210, 22, 47] {
        client.write_all(b"N").ok()?;
        first = packet(&mut client)?;
    }
    let with_options = first.windows(9).any(|window| window == b"\0options\0");
    if matches!(manner, Manner::RefusesOptions) && with_options {
        return client.write_all(&refusal()).ok();
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    server.write_all(&first).ok()?;
    let (from_client, to_client) = (client.try_clone().ok()?, client);
    let (from_server, to_server) = (server.try_clone().ok()?, server);
    let replace = match manner {
        Manner::Replaces(from, to) => Some((from.clone().into_bytes(), to.clone().into_bytes())),
        _ => None,
    };
    let break_at = match manner {
        Manner::BreaksOff(word) => Some(word.as_bytes()),
        _ => None,
    };
    thread::spawn(move || copy(from_server, to_client, replace.as_ref(), None));
    copy(from_client, to_server, None, break_at);
    Some(())
}

/// Reads one packet of the start-up phase: a length and its body.
fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).ok()?;
    let length = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]) as usize;
    packet.resize(length.clamp(8, 10_000), 0);
    stream.read_exact(&mut packet[4..]).ok()?;
    Some(packet)
}

/// The `ErrorResponse` of `PgBouncer` 1.18 to `options`.
fn refusal() -> Vec<u8> {
    let fields = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    [b"E".as_slice(), &length, fields].concat()
}

fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    replace: Option<&(Vec<u8>, Vec<u8>)>,
    break_at: Option<&[u8]>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..count];
        if let Some((old, new)) = replace {
            while let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
                bytes[at..at + old.len()].copy_from_slice(new);
            }
        }
        if break_at.is_some_and(|word| bytes.windows(word.len()).any(|window| window == word)) {
            break;
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        // The other direction may have closed it before.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
