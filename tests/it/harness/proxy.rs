//! Stands between the program and a server, takes what they say apart into messages, and does harm at a
//! chosen one.
//!
//! It has a thread and a runtime of its own, so that a test may block. Messages of each side are counted
//! from 1 over all connections whose `application_name` begins as asked for, in the order in which they
//! come; the others are passed on and not counted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::cli::Killer;

/// How often one that is silent looks whether it still has to be.
const GLANCE: Duration = Duration::from_millis(20);
/// Codes of the packets before the start-up packet. Source: PostgreSQL documentation, "Message Formats".
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Whether the message at which harm is done still reaches the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It is withheld.
    Before,
    /// It is passed on first.
    After,
}

/// What is done.
#[derive(Clone)]
pub(crate) enum Harm {
    /// SIGKILL to the program; nothing that it said later reaches the server.
    Kill(Killer),
    /// This connection is closed on both sides.
    Fin,
    /// This connection is reset.
    Rst,
    /// Nothing is passed on any more on all connections that are open now: for a time, or for good.
    Silence(Option<Duration>),
    /// This message comes later.
    Delay(Duration),
    /// From here on all messages come byte by byte.
    Fragments,
    /// From here on the first of these texts is replaced by the second, of the same length, in what the server says.
    Rewrite(String, String),
    /// Something of the test's own, such as the end of the server.
    Call(Arc<dyn Fn() + Send + Sync>),
}

/// Harm at a message.
#[derive(Clone)]
pub(crate) struct Fault {
    pub(crate) side: Side,
    /// Only messages with this in their statement are meant; the empty text is in all.
    pub(crate) with: &'static str,
    /// The how-many-th such message of that side, from 1.
    pub(crate) number: usize,
    pub(crate) moment: Moment,
    pub(crate) harm: Harm,
}

/// A message that went by.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) side: Side,
    /// Its first byte, as in the protocol's documentation; `!` for a cancel request, `^` for a start-up packet.
    pub(crate) tag: char,
    /// `application_name` of its connection.
    pub(crate) name: String,
    /// The statement, in a message that has one.
    pub(crate) sql: String,
}

/// What all connections know.
#[derive(Default)]
struct State {
    seen: Vec<Message>,
    /// How many messages of the kind that the fault means have gone by.
    count: usize,
    fault: Option<Fault>,
    struck: bool,
    fragments: bool,
    rewrite: Option<(String, String)>,
    /// The program is dead: nothing is passed on.
    dead: bool,
    /// Counts the calls of `arm`: connections of an earlier one may be silent while new ones are not.
    round: usize,
    /// Connections of this round and earlier ones are silent, until then or for good.
    silent: Option<(usize, Option<Instant>)>,
}

/// The proxy. It ends with the value.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
    /// Dropped from outside of any other runtime.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// Starts one in front of the server whose Unix socket this is. Counts the messages of connections whose
    /// `application_name` begins like this.
    pub(crate) fn start(socket: &Path, counted: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, socket) = (Arc::clone(&state), socket.to_owned());
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let round = lock(&shared).round;
                let state = Arc::clone(&shared);
                let link = Link { counted, round, name: String::new(), state };
                // Ends when either side closes its connection.
                tokio::spawn(link.serve(client, socket.clone()));
            }
        });
        Self { port, state, runtime: Some(runtime) }
    }

    /// Where the program finds it.
    pub(crate) fn conninfo(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres sslmode=disable dbname={database}", self.port)
    }

    /// Begins to count anew, with harm or without.
    pub(crate) fn arm(&self, fault: Option<Fault>) {
        let mut state = lock(&self.state);
        let (round, silent) = (state.round + 1, state.silent);
        *state = State { fault, round, silent, ..State::default() };
    }

    /// The counted messages since it was armed.
    pub(crate) fn seen(&self) -> Vec<Message> {
        lock(&self.state).seen.clone()
    }

    /// Whether harm was done since it was armed.
    pub(crate) fn struck(&self) -> bool {
        lock(&self.state).struck
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection.
#[derive(Clone)]
struct Link {
    counted: &'static str,
    round: usize,
    name: String,
    state: Arc<Mutex<State>>,
}

/// Whether a connection goes on after a message.
enum Flow {
    On,
    End,
    Reset,
}

impl Link {
    async fn serve(mut self, client: TcpStream, socket: PathBuf) -> Option<()> {
        client.set_nodelay(true).ok()?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = UnixStream::connect(socket).await.ok()?.into_split();
        let first = loop {
            let packet = packet(&mut from_client).await?;
            match u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?) {
                SSL_REQUEST | GSS_REQUEST => to_client.write_all(b"N").await.ok()?,
                _ => break packet,
            }
        };
        let cancel = first.get(4..8) == Some(&CANCEL_REQUEST.to_be_bytes());
        self.name = if cancel { "cancel".to_owned() } else { application_name(&first) };
        let tag = if cancel { '!' } else { '^' };
        let up = async {
            let mut message = (tag, first);
            loop {
                match self.pass(Side::Client, message.0, &message.1, &mut to_server).await {
                    Flow::On => {}
                    end => return end,
                }
                match typed(&mut from_client).await {
                    Some(next) => message = next,
                    None => return Flow::End,
                }
            }
        };
        let down = async {
            while let Some((tag, bytes)) = typed(&mut from_server).await {
                match self.pass(Side::Server, tag, &bytes, &mut to_client).await {
                    Flow::On => {}
                    end => return end,
                }
            }
            Flow::End
        };
        let end = tokio::select! { end = up => end, end = down => end };
        if matches!(end, Flow::Reset) {
            to_client.as_ref().set_zero_linger().ok()?;
        }
        Some(())
    }

    /// Passes one message on, unless harm keeps it.
    async fn pass(
        &self,
        side: Side,
        tag: char,
        bytes: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Flow {
        self.wait_while_silent().await;
        let fault = self.note(side, tag, bytes);
        if lock(&self.state).dead {
            return Flow::End;
        }
        let Some(Fault { moment, harm, .. }) = fault else {
            return self.write(bytes, to).await;
        };
        if let Harm::Delay(time) = harm {
            tokio::time::sleep(time).await;
        }
        if moment == Moment::After && matches!(self.write(bytes, to).await, Flow::End) {
            return Flow::End;
        }
        match harm {
            Harm::Kill(killer) => {
                lock(&self.state).dead = true;
                killer.kill();
                return Flow::End;
            }
            Harm::Fin => return Flow::End,
            Harm::Rst => return Flow::Reset,
            Harm::Silence(time) => {
                let until = time.map(|time| Instant::now() + time);
                lock(&self.state).silent = Some((self.round, until));
                self.wait_while_silent().await;
            }
            Harm::Fragments => lock(&self.state).fragments = true,
            Harm::Rewrite(from, to) => lock(&self.state).rewrite = Some((from, to)),
            Harm::Call(call) => {
                // The test's own may take its time.
                let _ = tokio::task::spawn_blocking(move || call()).await;
            }
            Harm::Delay(_) => {}
        }
        if moment == Moment::Before { self.write(bytes, to).await } else { Flow::On }
    }

    /// Writes a message down; the harm that is due at it.
    fn note(&self, side: Side, tag: char, bytes: &[u8]) -> Option<Fault> {
        let mut state = lock(&self.state);
        if self.round != state.round || !self.name.starts_with(self.counted) || state.dead {
            return None;
        }
        let message = Message { side, tag, name: self.name.clone(), sql: sql(side, tag, bytes) };
        let meant = state
            .fault
            .as_ref()
            .filter(|fault| fault.side == side && message.sql.contains(fault.with))
            .map(|fault| fault.number);
        state.seen.push(message);
        state.count += usize::from(meant.is_some());
        let due = meant == Some(state.count);
        state.struck |= due;
        if due { state.fault.take() } else { None }
    }

    async fn write(&self, bytes: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> Flow {
        let rewritten =
            lock(&self.state).rewrite.clone().map(|(from, to)| replaced(bytes, &from, &to));
        let bytes = rewritten.as_deref().unwrap_or(bytes);
        let size = if lock(&self.state).fragments { 1 } else { bytes.len() };
        for piece in bytes.chunks(size.max(1)) {
            if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
                return Flow::End;
            }
        }
        Flow::On
    }

    async fn wait_while_silent(&self) {
        let silent = || {
            let silent = lock(&self.state).silent;
            silent.is_some_and(|(round, until)| {
                self.round <= round && until.is_none_or(|until| Instant::now() < until)
            })
        };
        while silent() {
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// Reads a packet of the start-up phase: a length and its body.
async fn packet(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    body(from, Vec::new()).await
}

/// Reads a message: its tag, a length and its body.
async fn typed(from: &mut (impl AsyncRead + Unpin)) -> Option<(char, Vec<u8>)> {
    let tag = from.read_u8().await.ok()?;
    Some((char::from(tag), body(from, vec![tag]).await?))
}

async fn body(from: &mut (impl AsyncRead + Unpin), mut read: Vec<u8>) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    read.extend(length.to_be_bytes());
    let start = read.len();
    read.resize(start + (length as usize).checked_sub(4)?, 0);
    from.read_exact(&mut read[start..]).await.ok()?;
    Some(read)
}

/// `application_name` of a start-up packet, which holds names and values, each ended by a zero.
fn application_name(packet: &[u8]) -> String {
    let mut texts = packet[8..].split(|byte| *byte == 0);
    texts
        .by_ref()
        .find(|text| *text == b"application_name")
        .and_then(|_| texts.next())
        .map_or(String::new(), |name| String::from_utf8_lossy(name).into_owned())
}

/// The bytes with one text in the place of another as long.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "lengths are told before");
    let mut bytes = bytes.to_vec();
    let at = |bytes: &[u8]| bytes.windows(from.len()).position(|part| part == from.as_bytes());
    while let Some(at) = at(&bytes) {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// The statement in a Parse (name, statement) or Query message.
fn sql(side: Side, tag: char, bytes: &[u8]) -> String {
    let texts = bytes.get(5..).unwrap_or_default();
    let text = match (side, tag) {
        (Side::Client, 'P') => texts.split(|byte| *byte == 0).nth(1),
        (Side::Client, 'Q') => texts.split(|byte| *byte == 0).next(),
        _ => None,
    };
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}
