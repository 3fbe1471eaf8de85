//! Where readers come in: so many at once, and none for longer than a minute and what it takes to fetch at a slow line's speed. A
//! reader who sends nothing, or takes nothing, cannot keep others out for long, and one who comes many times at once not at all. Who has
//! been answered may stay to ask more, as long as half of the places are free.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Instant, Sleep};

/// Connections at once; further ones wait.
pub(super) const MOST_READERS: usize = 64;
/// Connections that one address may always have at once ...
const MOST_FROM_ONE: usize = 8;
/// ... and further ones only while more than so many places are free: many readers may come by one address, such as that of an institute,
/// or of the host when this is a container. And only so long does a reader keep the connection after an answer.
const KEPT_FREE: usize = MOST_READERS / 2;
/// How long a connection may last. Whoever reads regularly connects again.
const LONGEST_STAY: Duration = Duration::from_mins(1);
/// How long it may last however much is taken.
const LONGEST_OF_ALL: Duration = Duration::from_mins(30);
/// Each so many bytes that a reader has taken buy another second.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

/// Lets readers in.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    guests: Guests,
}

/// Who is inside, as far as it matters to those who wait outside.
#[derive(Clone)]
pub(super) struct Crowd(Arc<Semaphore>);

/// A reader's connection, which ends when its time is over.
pub(super) struct Reader {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    /// The end that nothing puts off.
    latest: Instant,
    taken_bytes: u64,
    /// Counted until the connection ends.
    _guest: Guest,
    /// Given back with the connection; none where the door is closed, which it never is.
    _place: Option<OwnedSemaphorePermit>,
}

/// How many connections each address has that has any.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection that counts for its address.
struct Guest {
    guests: Guests,
    from: IpAddr,
}

impl Guests {
    /// Counts a connection; `None` where its address has enough of them. On this machine is the web server that is put before it, by which
    /// all readers come: that is for the web server to count.
    fn welcome(&self, from: IpAddr, free: usize) -> Option<Guest> {
        let from = network(from);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&from).copied().unwrap_or_default();
        if count >= MOST_FROM_ONE && free <= KEPT_FREE && !from.is_loopback() {
            return None;
        }
        counts.insert(from, count + 1);
        Some(Guest { guests: self.clone(), from })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.from)),
        }
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, all addresses of which a reader can usually have.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address => address,
    }
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST_READERS)), guests: Guests::default() }
    }

    pub(super) fn crowd(&self) -> Crowd {
        Crowd(Arc::clone(&self.places))
    }
}

/// Ends the connection with the answer where it is crowded: browsers keep theirs for a minute without asking anything, and whoever waits
/// outside would wait for that.
pub(super) async fn show_out(State(Crowd(places)): State<Crowd>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if places.available_permits() <= KEPT_FREE {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl Listener for Door {
    type Io = Reader;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Reader, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Some(guest) = self.guests.welcome(address.ip(), self.places.available_permits()) {
                return (Reader::new(stream, guest, place), address);
            }
            tracing::debug!(%address, "a reader is turned away, who has enough connections");
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Reader {
    fn new(stream: TcpStream, guest: Guest, place: Option<OwnedSemaphorePermit>) -> Self {
        let over = Box::pin(time::sleep(LONGEST_STAY));
        let latest = over.deadline() + LONGEST_OF_ALL.saturating_sub(LONGEST_STAY);
        Self { stream, over, latest, taken_bytes: 0, _guest: guest, _place: place }
    }

    /// An error when the time is over; whoever waits is woken then.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.over.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn has_taken(&mut self, bytes: usize) {
        let before = self.taken_bytes / SLOWEST_BYTES_PER_SECOND;
        self.taken_bytes += bytes as u64;
        let bought = self.taken_bytes / SLOWEST_BYTES_PER_SECOND - before;
        if bought > 0 {
            let later = self.over.deadline() + Duration::from_secs(bought);
            let later = later.min(self.latest);
            self.over.as_mut().reset(later);
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Reader {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.has_taken(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
