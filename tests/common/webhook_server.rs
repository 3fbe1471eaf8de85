//! A service that is told things by HTTP, as chats and alarm centres are: it notes what it is given, and answers as it is told.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The service; it ends when dropped.
pub(crate) struct WebhookServer {
    address: SocketAddr,
    noted: Arc<Mutex<Noted>>,
    task: JoinHandle<()>,
}

struct Noted {
    status: u16,
    /// Method and path.
    paths: Vec<String>,
    bodies: Vec<Value>,
}

impl WebhookServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let noted = Arc::new(Mutex::new(Noted { status: 200, paths: Vec::new(), bodies: Vec::new() }));
        let task = tokio::spawn(accept(listener, Arc::clone(&noted)));
        Self { address, noted, task }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What it answers from now on.
    pub(crate) fn answer(&mut self, status: u16) {
        self.noted.lock().unwrap().status = status;
    }

    /// The documents that it was given so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.noted.lock().unwrap().bodies.clone()
    }

    /// Method and path of the requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.noted.lock().unwrap().paths.clone()
    }
}

impl Drop for WebhookServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, noted: Arc<Mutex<Noted>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = service_fn(|request| answer(request, Arc::clone(&noted)));
        // Served within this task, so that dropping the server ends its connections, too.
        let connection =
            http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer);
        let _ = connection.await;
    }
}

async fn answer(
    request: Request<Incoming>,
    noted: Arc<Mutex<Noted>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = format!("{} {}", request.method(), request.uri().path());
    let is_json = request.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut noted = noted.lock().unwrap();
    noted.paths.push(path);
    if is_json && noted.status < 300 {
        noted.bodies.push(serde_json::from_slice(&body).unwrap());
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"as told")));
    *response.status_mut() = noted.status.try_into().unwrap();
    if noted.status == 302 {
        response.headers_mut().insert("location", "/elsewhere".parse().unwrap());
    }
    Ok(response)
}
