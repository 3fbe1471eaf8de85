//! How long readers may stay, and how many may come in; time stands still between the steps.

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
