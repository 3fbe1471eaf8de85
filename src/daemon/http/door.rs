//! Where readers come in: so many at once, and none for longer than a minute and what it takes to fetch at a slow line's speed. A
//! reader who sends nothing, or takes nothing, cannot keep others out for long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Sleep};

/// Connections at once; further ones wait.
const MOST_READERS: usize = 64;
/// How long a connection may last. Whoever reads regularly connects again.
const LONGEST_STAY: Duration = Duration::from_mins(1);
/// Each so many bytes that a reader has taken buy another second.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 << 10;

/// Lets readers in.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A reader's connection, which ends when its time is over.
pub(super) struct Reader {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    taken_bytes: u64,
    /// Given back with the connection; none where the door is closed, which it never is.
    _place: Option<OwnedSemaphorePermit>,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST_READERS)) }
    }
}

impl Listener for Door {
    type Io = Reader;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Reader, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Reader { stream, over: Box::pin(time::sleep(LONGEST_STAY)), taken_bytes: 0, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Reader {
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
