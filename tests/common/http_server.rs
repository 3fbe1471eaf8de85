//! An HTTP/1.1 server over a folder, as THREDDS and as pages of links, which also misbehaves as it is told. It writes its answers byte by
//! byte itself: no library sends what it should not.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use nilas::config::{Server, ServerKind};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What goes wrong with one answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// None: the answer is as it should be.
    None,
    /// Another status, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Status 200 and this body, with these headers.
    Body(Vec<(&'static str, &'static str)>, Vec<u8>),
    /// After so many bytes of the body the connection is reset.
    ResetAfter(usize),
    /// After so many bytes of the body nothing comes any more.
    StallAfter(usize),
    /// After so many bytes of the body the connection is closed as if all were there.
    EndAfter(usize),
    /// These bytes come after the announced ones.
    Trailing(&'static [u8]),
    /// The header `Range` is not understood.
    WithoutRange,
    /// A part that is another one than was asked for.
    WrongRange,
    /// Neither validators nor conditions.
    WithoutVersion,
    /// The same, and after so many bytes the connection is closed as if all were there.
    WithoutVersionEndAfter(usize),
    /// No tag, and dates compared as the standard says: what is not newer has not changed.
    WithoutTag,
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path, still encoded.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

/// The server; it ends when dropped.
pub(crate) struct HttpServer {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    /// For every path below the root what happens to the next answers; the last one stays.
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    asked: Mutex<Vec<Asked>>,
    file_bytes: AtomicU64,
    /// How long every file is held back.
    delay: Mutex<Duration>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl HttpServer {
    /// Serves the folder `root`: below `/thredds/` as THREDDS, below `/files/` as pages of links.
    pub(crate) async fn start(root: &Path) -> Self {
        Self::start_with(root, None).await
    }

    /// The same over TLS.
    pub(crate) async fn start_tls(root: &Path, tls: TlsAcceptor) -> Self {
        Self::start_with(root, Some(tls)).await
    }

    async fn start_with(root: &Path, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            faults: Mutex::default(),
            asked: Mutex::default(),
            file_bytes: AtomicU64::new(0),
            delay: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, scheme, shared, task }
    }

    /// Its root, with `host` for the loopback address.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("{}://{host}:{}/", self.scheme, self.address.port())
    }

    /// The configuration that leads to it.
    pub(crate) fn configured(&self, kind: ServerKind) -> Server {
        let folder = if kind == ServerKind::Thredds { "thredds" } else { "files" };
        Server {
            kind,
            address: format!("{}{folder}/", self.url("127.0.0.1")),
            connections: 4,
            credentials: None,
            authorities: None,
            region: None,
        }
    }

    /// What happens to the next answers for a path below the served folder: one after the other, the last one for good.
    pub(crate) fn fail(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults.lock().unwrap().insert(path.to_owned(), faults.into_iter().collect());
    }

    /// Holds every file back for so long.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Bytes of files sent so far.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.shared.file_bytes.load(Ordering::SeqCst)
    }

    /// The most files that were asked for at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer before it is written.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn head(&self) -> String {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let length = if self.status == 304 {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", self.body.len())
        };
        format!("HTTP/1.1 {} As It Is\r\n{headers}{length}\r\n", self.status)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // A client that goes away in the middle is none of the server's concern.
            let _ = match tls {
                None => Connection(stream).serve(&shared).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Connection(stream).serve(&shared).await,
                    Err(error) => Err(error),
                },
            };
        });
    }
}

/// A connection that can also be broken off.
trait Breakable: AsyncRead + AsyncWrite + Unpin {
    /// Drops the connection with a reset instead of an end.
    fn reset(self);
}

impl Breakable for TcpStream {
    fn reset(self) {
        self.set_zero_linger().unwrap();
    }
}

impl Breakable for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(self) {
        self.into_inner().0.reset();
    }
}

struct Connection<S>(S);

impl<S: Breakable> Connection<S> {
    async fn serve(mut self, shared: &Shared) -> io::Result<()> {
        while let Some(asked) = self.read_request().await? {
            shared.asked.lock().unwrap().push(asked.clone());
            let target = percent_decode_str(&asked.target).decode_utf8_lossy().into_owned();
            let path = below(&target).unwrap_or_default();
            let fault = shared.next_fault(path);
            let is_file = !target.ends_with('/') && !target.ends_with("catalog.xml");
            let answer = shared.answer(&target, &asked, &fault);
            if is_file {
                let now = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                shared.most_at_once.fetch_max(now, Ordering::SeqCst);
                let delay = *shared.delay.lock().unwrap();
                tokio::time::sleep(delay).await;
                shared.at_once.fetch_sub(1, Ordering::SeqCst);
                let sent = matches!(answer.status, 200 | 206).then_some(answer.body.len());
                shared.file_bytes.fetch_add(sent.unwrap_or(0) as u64, Ordering::SeqCst);
            }
            let Some(next) = self.write(&answer, &fault).await? else { return Ok(()) };
            self = next;
        }
        Ok(())
    }

    /// Writes an answer; gives the connection back where it can be used again.
    async fn write(mut self, answer: &Answer, fault: &Fault) -> io::Result<Option<Self>> {
        self.0.write_all(answer.head().as_bytes()).await?;
        let (Fault::ResetAfter(end)
        | Fault::StallAfter(end)
        | Fault::EndAfter(end)
        | Fault::WithoutVersionEndAfter(end)) = fault
        else {
            self.0.write_all(&answer.body).await?;
            if let Fault::Trailing(bytes) = fault {
                self.0.write_all(bytes).await?;
            }
            self.0.flush().await?;
            return Ok(Some(self));
        };
        self.0.write_all(&answer.body[..*end]).await?;
        self.0.flush().await?;
        match fault {
            Fault::StallAfter(_) => std::future::pending().await,
            Fault::ResetAfter(_) => self.0.reset(),
            _ => self.0.shutdown().await?,
        }
        Ok(None)
    }

    async fn read_request(&mut self) -> io::Result<Option<Asked>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let target = lines.next().unwrap().split(' ').nth(1).unwrap();
        // A proxy is asked with the whole address.
        let path =
            target.strip_prefix("http://").map_or(target, |address| &address[address.find('/').unwrap()..]);
        let target = path.to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Ok(Some(Asked { target, headers }))
    }
}

/// The path below the served folder that a target means.
fn below(target: &str) -> Option<&str> {
    let starts = ["/thredds/fileServer/", "/thredds/catalog/", "/files/"];
    starts.iter().find_map(|start| target.strip_prefix(start))
}

impl Shared {
    fn next_fault(&self, path: &str) -> Fault {
        let mut faults = self.faults.lock().unwrap();
        let Some(queue) = faults.get_mut(path) else { return Fault::None };
        if queue.len() > 1 {
            queue.pop_front().unwrap()
        } else {
            queue.front().cloned().unwrap_or(Fault::None)
        }
    }

    fn answer(&self, target: &str, asked: &Asked, fault: &Fault) -> Answer {
        match fault {
            Fault::Status(status, headers) => {
                return Answer { status: *status, headers: headers.clone(), body: b"as told".to_vec() };
            }
            Fault::Body(headers, body) => {
                let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
                return Answer { status: 200, headers, body: body.clone() };
            }
            _ => {}
        }
        let Some(path) = below(target) else { return Answer::new(404, "no such place") };
        let catalog = path.strip_suffix("catalog.xml").filter(|_| target.starts_with("/thredds/catalog/"));
        match catalog {
            Some(folder) => self.catalog(folder.trim_end_matches('/')),
            None if path.is_empty() || path.ends_with('/') => self.index(path),
            None => self.file(path, asked, fault),
        }
    }

    /// Names and sizes of a folder's files.
    fn files(&self, folder: &str) -> Option<BTreeMap<String, u64>> {
        let entries = fs::read_dir(self.root.join(folder)).ok()?.map(Result::unwrap);
        let files = entries.filter(|entry| entry.path().is_file());
        Some(files.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect())
    }

    fn catalog(&self, folder: &str) -> Answer {
        let Some(files) = self.files(folder) else { return Answer::new(404, "no such catalog") };
        let datasets = files.iter().map(|(name, size)| {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            (name.clone(), path, *size)
        });
        Answer::new(200, catalog(datasets)).with("Content-Type", "application/xml")
    }

    fn index(&self, folder: &str) -> Answer {
        let Some(files) = self.files(folder) else { return Answer::new(404, "no such folder") };
        let link = |name: &String| {
            format!("<a href=\"{}\">{}</a>\n", utf8_percent_encode(name, NON_ALPHANUMERIC), escaped(name))
        };
        let links: String = files.keys().map(link).collect();
        let page =
            format!("<html><body><h1>Index of /{folder}</h1><a href=\"../\">../</a>\n{links}</body></html>");
        Answer::new(200, page).with("Content-Type", "text/html")
    }

    fn file(&self, path: &str, asked: &Asked, fault: &Fault) -> Answer {
        let Ok(bytes) = fs::read(self.root.join(path)) else { return Answer::new(404, "no such file") };
        if matches!(fault, Fault::WithoutVersion | Fault::WithoutVersionEndAfter(_)) {
            return Answer::new(200, bytes);
        }
        let changed = fs::metadata(self.root.join(path)).unwrap().modified().unwrap();
        let tag =
            format!("\"{:x}-{:x}\"", bytes.len(), changed.duration_since(UNIX_EPOCH).unwrap().as_nanos());
        let modified = DateTime::<Utc>::from(changed).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let versioned =
            |answer: Answer| answer.with("ETag", tag.clone()).with("Last-Modified", modified.clone());
        let header = |name| asked.headers.get(name).map(String::as_str);
        if matches!(fault, Fault::WithoutTag) {
            let date = |text: &str| DateTime::parse_from_rfc2822(text).unwrap();
            let not_newer = header("if-modified-since").is_some_and(|known| date(&modified) <= date(known));
            let answer = if not_newer { Answer::new(304, "") } else { Answer::new(200, bytes) };
            return answer.with("Last-Modified", modified);
        }
        if header("if-none-match").is_some_and(|known| known == tag) {
            return versioned(Answer::new(304, ""));
        }
        let same = header("if-range").is_none_or(|known| known == tag || known == modified);
        let range = header("range").filter(|_| same && !matches!(fault, Fault::WithoutRange));
        let Some(range) = range else { return versioned(Answer::new(200, bytes)) };
        let asked_from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        let from = if matches!(fault, Fault::WrongRange) { asked_from - 1 } else { asked_from };
        let (last, size) = (bytes.len() - 1, bytes.len());
        if from > last {
            return versioned(Answer::new(416, "")).with("Content-Range", format!("bytes */{size}"));
        }
        let part = Answer::new(206, &bytes[from..]);
        versioned(part).with("Content-Range", format!("bytes {from}-{last}/{size}"))
    }
}

/// A catalog of datasets: their names, their places below the file service, and their sizes in bytes.
pub(crate) fn catalog(datasets: impl IntoIterator<Item = (String, String, u64)>) -> String {
    let datasets: String = datasets.into_iter().map(dataset).collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<catalog xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" version="1.2">
<service name="all" serviceType="Compound" base=""><service name="dap" serviceType="OPENDAP" base="/thredds/dodsC/" />
<service name="http" serviceType="HTTPServer" base="/thredds/fileServer/" /></service>
<dataset name="folder">
{datasets}</dataset></catalog>"#
    )
}

fn dataset((name, path, size): (String, String, u64)) -> String {
    let (name, path) = (escaped(&name), escaped(&path));
    format!(
        "<dataset name=\"{name}\" urlPath=\"{path}\"><dataSize units=\"bytes\">{size}</dataSize></dataset>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
