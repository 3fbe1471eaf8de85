//! An FTP server of one folder with one file, which knows as much of the protocol as it is told and misbehaves as it is told.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use nilas::config::{Server, ServerKind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// All that RFC 3659 and RFC 2428 have.
pub(crate) const MODERN: &[&str] = &["EPSV", "MDTM", "MLST type*;size*;", "REST STREAM", "SIZE"];
/// As before 1998.
pub(crate) const OLD: &[&str] = &[];

/// What goes wrong on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The greeting is this.
    Greeting(&'static str),
    /// No greeting comes.
    Silence,
    /// The login is refused, and the password repeated.
    Login,
    /// Nobody listens where data are to come from.
    ClosedPort,
    /// The data connection stands, and no word comes about it.
    NeverBegins,
    /// After so many bytes nothing comes any more.
    StallAfter(usize),
    /// After so many bytes the data connection is closed, and the server says so.
    CutAfter(usize),
    /// After so many bytes the data connection is closed, and the server says that there is no such file.
    GoneAfter(usize),
    /// After so many bytes the data connection is reset and the control connection closed.
    VanishAfter(usize),
}

/// The server; it takes no more connections when dropped.
pub(crate) struct ScriptedFtp {
    address: SocketAddr,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

struct Script {
    features: &'static [&'static str],
    file: Vec<u8>,
    /// The lines of the folder, as `LIST` or `MLSD` give them.
    listing: String,
    /// For the next connections; then nothing goes wrong.
    faults: Mutex<VecDeque<Fault>>,
    heard: Mutex<Vec<String>>,
}

impl ScriptedFtp {
    /// Serves `file`, whatever its name, with these features, these lines of a listing, and these faults.
    pub(crate) async fn start(
        features: &'static [&'static str],
        file: &[u8],
        listing: &[&str],
        faults: impl IntoIterator<Item = Fault>,
    ) -> Self {
        let listing = listing.iter().flat_map(|line| [line, "\r\n"]).collect();
        let faults = Mutex::new(faults.into_iter().collect());
        let script =
            Arc::new(Script { features, file: file.to_owned(), listing, faults, heard: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(accept(listener, Arc::clone(&script)));
        Self { address, script, task }
    }

    /// The configuration that leads to it.
    pub(crate) fn configured(&self, kind: ServerKind) -> Server {
        let address = format!("ftp://{}/", self.address);
        Server { kind, address, connections: 4, credentials: None, authorities: None, region: None }
    }

    /// All commands so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.script.heard.lock().unwrap().clone()
    }
}

impl Drop for ScriptedFtp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    while let Ok((stream, _)) = listener.accept().await {
        let fault = script.faults.lock().unwrap().pop_front();
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            let connection =
                Connection { control: BufStream::new(stream), script, fault, data: None, start: 0 };
            // A client that goes away in the middle is none of the server's concern.
            let _ = connection.serve().await;
        });
    }
}

struct Connection {
    control: BufStream<TcpStream>,
    script: Arc<Script>,
    fault: Option<Fault>,
    /// Where the next data connection is awaited.
    data: Option<TcpListener>,
    /// Where the next transfer begins.
    start: usize,
}

impl Connection {
    async fn serve(mut self) -> io::Result<()> {
        match self.fault {
            Some(Fault::Silence) => pending().await,
            Some(Fault::Greeting(greeting)) => self.say(greeting).await?,
            _ => self.say("220 ready").await?,
        }
        let mut line = String::new();
        while self.control.read_line(&mut line).await? > 0 {
            let heard = line.trim_end().to_owned();
            self.script.heard.lock().unwrap().push(heard.clone());
            let (command, argument) = heard.split_once(' ').unwrap_or((&heard, ""));
            if !self.obey(command, argument).await? {
                return Ok(());
            }
            line.clear();
        }
        Ok(())
    }

    async fn say(&mut self, answer: &str) -> io::Result<()> {
        self.control.write_all(answer.as_bytes()).await?;
        self.control.write_all(b"\r\n").await?;
        self.control.flush().await
    }

    /// Does what a command asks; false where the connection ends.
    async fn obey(&mut self, command: &str, argument: &str) -> io::Result<bool> {
        let answer = match command {
            "USER" => "331 password?".to_owned(),
            "PASS" if matches!(self.fault, Some(Fault::Login)) => format!("530 {argument} is wrong"),
            "PASS" => "230 come in".to_owned(),
            "FEAT" if !self.script.features.is_empty() => {
                format!("211-Features:\r\n {}\r\n211 End", self.script.features.join("\r\n "))
            }
            "TYPE" => "200 as you like".to_owned(),
            "CWD" => "250 there".to_owned(),
            "SIZE" if argument.contains("folder") => "550 not a file".to_owned(),
            "SIZE" => format!("213 {}", self.script.file.len()),
            "MDTM" => "213 20260301120000".to_owned(),
            "REST" => {
                self.start = argument.parse().unwrap();
                "350 and then?".to_owned()
            }
            "EPSV" | "PASV" => self.await_data(command).await?,
            "RETR" => {
                let bytes = self.script.file[self.start..].to_vec();
                return self.send(&bytes).await;
            }
            "LIST" | "MLSD" => {
                let listing = self.script.listing.clone();
                return self.send(listing.as_bytes()).await;
            }
            _ => "502 unknown".to_owned(),
        };
        self.say(&answer).await?;
        Ok(true)
    }

    /// Listens for a data connection, and says where. The address that goes with PASV belongs to nobody.
    async fn await_data(&mut self, command: &str) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        self.data = (!matches!(self.fault, Some(Fault::ClosedPort))).then_some(listener);
        Ok(match command {
            "EPSV" => format!("229 extended (|||{port}|)"),
            _ => format!("227 passive (192,0,2,7,{},{})", port / 256, port % 256),
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let (mut data, _) = self.data.take().unwrap().accept().await?;
        if matches!(self.fault, Some(Fault::NeverBegins)) {
            pending::<()>().await;
        }
        self.say("150 here it comes").await?;
        let Some(
            Fault::StallAfter(end) | Fault::CutAfter(end) | Fault::GoneAfter(end) | Fault::VanishAfter(end),
        ) = self.fault
        else {
            data.write_all(bytes).await?;
            drop(data);
            self.say("226 that was all").await?;
            return Ok(true);
        };
        data.write_all(&bytes[..end]).await?;
        match self.fault {
            Some(Fault::StallAfter(_)) => pending().await,
            Some(Fault::CutAfter(_)) => {
                drop(data);
                self.say("426 it broke").await?;
                Ok(true)
            }
            Some(Fault::GoneAfter(_)) => {
                drop(data);
                self.say("550 no such file").await?;
                Ok(true)
            }
            _ => {
                data.set_zero_linger()?;
                Ok(false)
            }
        }
    }
}
