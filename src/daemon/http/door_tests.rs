//! How long readers may stay, how many may come in, and how many of them by one address; time stands still between the steps.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn door() -> (Door, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (Door::new(listener), address)
}

#[tokio::test]
async fn a_reader_who_says_nothing_is_shown_out() {
    let (mut door, address) = door().await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let (mut reader, _) = door.accept().await;
    time::pause();
    let patience = time::sleep(LONGEST_STAY.mul_f64(0.999));
    let mut told = std::pin::pin!(reader.read_u8());
    tokio::select! {
        early = &mut told => panic!("shown out too early: {early:?}"),
        () = patience => {}
    }
    assert_eq!(told.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn who_takes_much_may_stay_longer() {
    let (mut door, address) = door().await;
    let mut taker = TcpStream::connect(address).await.unwrap();
    let (mut reader, _) = door.accept().await;
    time::pause();
    let written = async {
        reader.write_all(&vec![0; 1 << 20]).await.unwrap();
        reader
    };
    let taken = async {
        let mut bytes = vec![0; 1 << 20];
        taker.read_exact(&mut bytes).await.unwrap();
    };
    let (mut reader, ()) = tokio::join!(written, taken);
    let bought = Duration::from_secs((1 << 20) / SLOWEST_BYTES_PER_SECOND);
    let patience = time::sleep((LONGEST_STAY + bought).mul_f64(0.999));
    let mut told = std::pin::pin!(reader.read_u8());
    tokio::select! {
        early = &mut told => panic!("shown out too early: {early:?}"),
        () = patience => {}
    }
    assert_eq!(told.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn nobody_stays_for_ever_however_much_is_taken() {
    let (mut door, address) = door().await;
    let _taker = TcpStream::connect(address).await.unwrap();
    let (mut reader, _) = door.accept().await;
    time::pause();
    reader.has_taken(1 << 40);
    let patience = time::sleep(LONGEST_OF_ALL.mul_f64(0.999));
    let mut told = std::pin::pin!(reader.read_u8());
    tokio::select! {
        early = &mut told => panic!("shown out too early: {early:?}"),
        () = patience => {}
    }
    let told = time::timeout(LONGEST_STAY, told).await.unwrap();
    assert_eq!(told.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// So many connections as an address gets while so many places are free.
fn welcomed(guests: &Guests, from: &str, free: usize) -> Vec<Guest> {
    let from: IpAddr = from.parse().unwrap();
    std::iter::from_fn(|| guests.welcome(from, free)).take(MOST_READERS).collect()
}

#[test]
fn one_address_cannot_keep_all_others_out() {
    let guests = Guests::default();
    let first = welcomed(&guests, "192.0.2.1", KEPT_FREE);
    assert_eq!(first.len(), MOST_FROM_ONE);
    assert_eq!(welcomed(&guests, "::ffff:192.0.2.1", KEPT_FREE).len(), 0, "the same, written otherwise");
    assert_eq!(welcomed(&guests, "192.0.2.2", 1).len(), MOST_FROM_ONE, "another one has its own");
    let more = welcomed(&guests, "192.0.2.1", KEPT_FREE + 1);
    assert_eq!(more.len(), MOST_READERS, "while most places are free, they may be used");
    drop((first, more));
    assert!(guests.0.lock().unwrap().is_empty(), "who has left is forgotten");
}

#[test]
fn an_address_of_ipv6_is_the_network_that_a_reader_has() {
    let guests = Guests::default();
    let _first = welcomed(&guests, "2001:db8::1", KEPT_FREE);
    assert_eq!(welcomed(&guests, "2001:db8::2:1", KEPT_FREE).len(), 0);
    assert_eq!(welcomed(&guests, "2001:db8:0:1::1", KEPT_FREE).len(), MOST_FROM_ONE);
}

#[test]
fn a_web_server_on_this_machine_brings_as_many_as_there_are_places() {
    for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(welcomed(&Guests::default(), here, 0).len(), MOST_READERS, "{here}");
    }
}

#[tokio::test]
async fn further_readers_wait_until_one_has_left() {
    let (mut door, address) = door().await;
    let mut streams = Vec::new();
    let mut inside = Vec::new();
    for _ in 0..MOST_READERS {
        streams.push(TcpStream::connect(address).await.unwrap());
        inside.push(door.accept().await.0);
    }
    streams.push(TcpStream::connect(address).await.unwrap());
    assert_eq!(door.places.available_permits(), 0);
    let mut waiting = std::pin::pin!(door.accept());
    assert!(std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
    inside.pop();
    waiting.await;
}
