//! The network between Nilas and the servers that it asks, where one connection, or each from one on, meets trouble. It stands between
//! the two as a proxy for TCP that nobody knows of; of FTP it also carries the data connections.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// How long an answer is held back that comes in the end.
const LATE: Duration = Duration::from_millis(400);
/// The pace at which an answer is too slow: 10 kB/s, never long without a byte.
const TRICKLE: (usize, Duration) = (1000, Duration::from_millis(100));
/// The pace at which it is slow and comes in time: 2 MB/s.
const SLOW: (usize, Duration) = (40_000, Duration::from_millis(20));
/// As many connections may wait as any test opens.
const BACKLOG: u32 = 64;
/// Bytes that are carried at once.
const CHUNK: usize = 64 << 10;

/// What a connection meets. Bytes are those that the server has answered by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// After so many bytes it is reset.
    Reset(u64),
    /// After so many bytes it is closed, as if all had been said.
    Ended(u64),
    /// After so many bytes nothing comes until the client has had enough.
    Held(u64),
    /// After so many bytes nothing comes for a moment.
    Late(u64),
    /// After so many bytes the rest trickles.
    Trickle(u64),
    /// The whole is slow.
    Slow,
    /// Nobody listens.
    Refused,
}

/// What is spoken over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// Whatever it is, it needs no other connection.
    Any,
    /// The commands of FTP, whose answers name the ports of data connections.
    Ftp,
    /// The data of FTP: only the control connection says whether all have come.
    FtpData,
}

/// The network. Its connections end with the runtime that it was made in.
pub(crate) struct Network {
    shared: Arc<Shared>,
}

struct Shared {
    plan: Mutex<Option<Plan>>,
    /// How many connections could have met the planned trouble so far.
    occasions: AtomicU64,
    is_met: AtomicBool,
    /// How many bytes came over each connection.
    carried: Mutex<Vec<u64>>,
    /// Whether nobody listens.
    is_shut: watch::Sender<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    trouble: Trouble,
    number: u64,
    lasts: bool,
}

impl Network {
    /// One that works.
    pub(crate) fn new() -> Self {
        let shared = Shared {
            plan: Mutex::default(),
            occasions: AtomicU64::new(0),
            is_met: AtomicBool::new(false),
            carried: Mutex::default(),
            is_shut: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The address from which connections are carried to a server. Called inside of a runtime.
    pub(crate) fn to(&self, server: SocketAddr, speech: Speech) -> SocketAddr {
        door(&self.shared, server, speech).unwrap()
    }

    /// From now on the connection of this number meets trouble, and where that lasts each one after it. Those count over which enough comes
    /// for it.
    pub(crate) fn expect(&self, trouble: Trouble, number: u64, lasts: bool) {
        self.works();
        self.shared.occasions.store(0, Ordering::SeqCst);
        self.shared.is_met.store(false, Ordering::SeqCst);
        *self.shared.plan.lock().unwrap() = Some(Plan { trouble, number, lasts });
        self.shared.shut_where_refused(1);
    }

    /// From now on it works.
    pub(crate) fn works(&self) {
        *self.shared.plan.lock().unwrap() = None;
        self.shared.is_shut.send_replace(false);
    }

    /// How many connections there were so far that could have met a trouble.
    pub(crate) fn occasions(&self, trouble: Trouble) -> u64 {
        self.shared.carried.lock().unwrap().iter().filter(|carried| **carried > trouble.after()).count()
            as u64
    }

    /// Whether a connection has met trouble. Nobody sees a connection that is refused; of these it is whether they would be.
    pub(crate) fn is_met(&self) -> bool {
        self.shared.is_met.load(Ordering::SeqCst)
    }
}

impl Trouble {
    /// So many bytes come through before it.
    fn after(self) -> u64 {
        match self {
            Self::Reset(after)
            | Self::Ended(after)
            | Self::Held(after)
            | Self::Late(after)
            | Self::Trickle(after) => after,
            Self::Slow | Self::Refused => 0,
        }
    }
}

impl Shared {
    fn plan(&self) -> Option<Plan> {
        *self.plan.lock().unwrap()
    }

    /// Lets nobody listen, where the connection of this number is one that is to be refused.
    fn shut_where_refused(&self, number: u64) {
        let refuses = |plan: &Plan| plan.trouble == Trouble::Refused && number >= plan.number;
        if self.plan().is_some_and(|plan| refuses(&plan)) {
            self.is_met.store(true, Ordering::SeqCst);
            self.is_shut.send_replace(true);
        }
    }

    /// What a connection is to meet, if it is its turn when it comes to that.
    fn planned(&self, speech: Speech) -> Option<Trouble> {
        let trouble = self.plan()?.trouble;
        let would_lie = speech == Speech::FtpData && matches!(trouble, Trouble::Ended(_));
        (trouble != Trouble::Refused && !would_lie).then_some(trouble)
    }

    /// Whether the connection that has come to its trouble is the one that meets it.
    fn is_its_turn(&self) -> bool {
        let number = self.occasions.fetch_add(1, Ordering::SeqCst) + 1;
        let is_chosen = self
            .plan()
            .is_some_and(|Plan { number: chosen, lasts, .. }| number == chosen || lasts && number > chosen);
        self.is_met.fetch_or(is_chosen, Ordering::SeqCst);
        is_chosen
    }
}

/// Opens a port that leads to a server.
fn door(shared: &Arc<Shared>, server: SocketAddr, speech: Speech) -> io::Result<SocketAddr> {
    let bound = |port: u16| {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
        Ok::<_, io::Error>(socket)
    };
    // It never listens, and keeps the port for us while nobody does.
    let keeper = bound(0)?;
    let address = keeper.local_addr()?;
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let mut is_shut = shared.is_shut.subscribe();
        while is_shut.wait_for(|is_shut| !is_shut).await.is_ok() {
            let listener = bound(keeper.local_addr()?.port())?.listen(BACKLOG)?;
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = is_shut.wait_for(|is_shut| *is_shut) => break,
                };
                let (client, _) = accepted?;
                if shared.plan().is_some_and(|plan| plan.trouble == Trouble::Refused) {
                    let number = shared.occasions.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.shut_where_refused(number + 1);
                }
                tokio::spawn(carry(Arc::clone(&shared), client, server, speech));
            }
        }
        Ok::<_, io::Error>(())
    });
    Ok(address)
}

/// Carries what both sides say until one of them ends.
async fn carry(
    shared: Arc<Shared>,
    mut client: TcpStream,
    server: SocketAddr,
    speech: Speech,
) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asks, hears) = client.split();
    let (answers, mut is_asked) = server.split();
    let number = {
        let mut carried = shared.carried.lock().unwrap();
        carried.push(0);
        carried.len() - 1
    };
    let planned = shared.planned(speech);
    let answer = Answer { shared: &shared, answers, hears, speech, number, planned, met: None, passed: 0 };
    let is_reset = tokio::select! {
        _ = tokio::io::copy(&mut asks, &mut is_asked) => false,
        is_reset = answer.carry() => is_reset?,
    };
    if is_reset {
        client.set_zero_linger()?;
    }
    Ok(())
}

/// What a server answers on one connection, on its way to the client.
struct Answer<'a> {
    shared: &'a Arc<Shared>,
    answers: ReadHalf<'a>,
    hears: WriteHalf<'a>,
    speech: Speech,
    /// Its place among the connections.
    number: usize,
    /// What it may come to meet.
    planned: Option<Trouble>,
    /// What it has met.
    met: Option<Trouble>,
    /// So many bytes have come through.
    passed: u64,
}

impl Answer<'_> {
    /// Carries it to its end; true where that is a reset.
    async fn carry(mut self) -> io::Result<bool> {
        let mut said = Vec::new();
        loop {
            said.reserve(CHUNK);
            if self.answers.read_buf(&mut said).await? == 0 {
                self.hears.shutdown().await?;
                return Ok(false);
            }
            let mut rest = std::mem::take(&mut said);
            if self.speech == Speech::Ftp {
                let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                said = rest.split_off(whole);
                rest = self.lead_here(rest)?;
            }
            if let Some(is_reset) = self.pass(&rest).await? {
                return Ok(is_reset);
            }
        }
    }

    /// Passes some bytes on, as far as trouble lets them. Where it ends the connection, whether by a reset.
    async fn pass(&mut self, mut bytes: &[u8]) -> io::Result<Option<bool>> {
        if let Some(planned) = self.planned {
            let before;
            let until = planned.after().saturating_sub(self.passed) as usize;
            (before, bytes) = bytes.split_at(until.min(bytes.len()));
            self.write(before).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.planned = None;
            self.met = self.shared.is_its_turn().then_some(planned);
        }
        match self.met {
            Some(Trouble::Reset(_)) => return Ok(Some(true)),
            Some(Trouble::Ended(_)) => {
                self.hears.shutdown().await?;
                return Ok(Some(false));
            }
            Some(Trouble::Held(_)) => std::future::pending().await,
            Some(Trouble::Late(_)) => {
                self.met = None;
                tokio::time::sleep(LATE).await;
                self.write(bytes).await?;
            }
            Some(Trouble::Trickle(_)) => self.write_slowly(bytes, TRICKLE).await?,
            Some(Trouble::Slow) => self.write_slowly(bytes, SLOW).await?,
            Some(Trouble::Refused) | None => self.write(bytes).await?,
        }
        Ok(None)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.passed += bytes.len() as u64;
        self.shared.carried.lock().unwrap()[self.number] = self.passed;
        self.hears.write_all(bytes).await
    }

    async fn write_slowly(&mut self, bytes: &[u8], (at_once, pause): (usize, Duration)) -> io::Result<()> {
        for part in bytes.chunks(at_once) {
            tokio::time::sleep(pause).await;
            self.write(part).await?;
        }
        Ok(())
    }

    /// Whole lines of FTP, in which data connections lead through this network.
    fn lead_here(&self, lines: Vec<u8>) -> io::Result<Vec<u8>> {
        let text = String::from_utf8(lines).map_err(io::Error::other)?;
        let lines = text.split_inclusive('\n').map(|line| {
            let Some(port) = data_port(line) else { return Ok(line.to_owned()) };
            let there = SocketAddr::from(([127, 0, 0, 1], port));
            let here = door(self.shared, there, Speech::FtpData)?.port();
            let [high, low] = here.to_be_bytes();
            Ok(match &line[..3] {
                "229" => format!("229 it is at (|||{here}|)\r\n"),
                _ => format!("227 it is at (127,0,0,1,{high},{low})\r\n"),
            })
        });
        Ok(lines.collect::<io::Result<String>>()?.into_bytes())
    }
}

/// The port at which the server waits for a data connection, where this line says so.
fn data_port(line: &str) -> Option<u16> {
    let (_, named) = line.split_once('(')?;
    let (named, _) = named.split_once(')')?;
    match line.get(..4)? {
        "229 " => named.trim_matches('|').parse().ok(),
        "227 " => {
            let numbers: Vec<u8> = named.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
            let [.., high, low] = numbers[..] else { return None };
            Some(u16::from_be_bytes([high, low]))
        }
        _ => None,
    }
}
