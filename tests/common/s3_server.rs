//! A real S3 server over a folder whose folders are the buckets: s3s-fs, which lacks conditions; they are added here.

#![allow(clippy::allow_attributes, dead_code, reason = "each test program uses its own part of this")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use nilas::config::{Server, ServerKind};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, ETag, ETagCondition,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, PutObjectInput, PutObjectOutput, UploadPartInput, UploadPartOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::ftp_server::{PASSWORD, USER, write_credentials};

/// The bucket that is served.
const BUCKET: &str = "sea-ice";

/// A request that came, whether or not it was answered well.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
}

/// What connections share.
#[derive(Default)]
pub(crate) struct Desk {
    requests: Mutex<Vec<Request>>,
    /// Each request of so many is refused; none where it is 0.
    refuses_each: AtomicUsize,
}

/// The server; it takes no more connections when dropped.
pub(crate) struct S3Server {
    address: SocketAddr,
    desk: Arc<Desk>,
    /// Credentials, for a server that wants them.
    secrets: Option<TempDir>,
    task: JoinHandle<()>,
}

impl S3Server {
    /// Serves buckets in the folder `root`: signed for one user, or to everybody.
    pub(crate) async fn start(root: &Path, is_signed: bool) -> Self {
        let mut builder = S3ServiceBuilder::new(Store(FileSystem::new(root).unwrap()));
        let secrets = is_signed.then(|| {
            builder.set_auth(SimpleAuth::from_single(USER, PASSWORD));
            let secrets = tempfile::tempdir().unwrap();
            write_credentials(&secrets.path().join("credentials"), PASSWORD, 0o600);
            secrets
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::<Desk>::default();
        let task = tokio::spawn(accept(listener, builder.build(), Arc::clone(&desk)));
        Self { address, desk, secrets, task }
    }

    /// Lets it refuse each request of so many from now on, as a store does that is too busy; all where it is 1, none where it is 0.
    pub(crate) fn refuse_each(&self, of: usize) {
        self.desk.refuses_each.store(of, Ordering::SeqCst);
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.desk.requests.lock().unwrap().clone()
    }

    /// Where in the folder `root` the files lie.
    pub(crate) fn tree(root: &Path) -> PathBuf {
        let tree = root.join(BUCKET).join("served/days");
        fs::create_dir_all(&tree).unwrap();
        tree
    }

    /// The configuration that leads to it.
    pub(crate) fn configured(&self) -> Server {
        Server {
            kind: ServerKind::S3,
            address: format!("http://{}/{BUCKET}/served/days", self.address),
            connections: 4,
            credentials: self.secrets.as_ref().map(|secrets| secrets.path().join("credentials")),
            authorities: None,
            region: None,
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, service: S3Service, desk: Arc<Desk>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (service, desk) = (service.clone(), Arc::clone(&desk));
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let (service, refused) = (service.clone(), desk.note(&request));
            async move {
                if refused {
                    let busy = hyper::Response::builder().status(503).body(Body::from("busy".to_owned()));
                    return Ok(busy.unwrap());
                }
                service.call(request.map(Body::from)).await
            }
        });
        tokio::spawn(async move {
            // A client that goes away in the middle is none of the server's concern.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl Desk {
    /// Remembers a request; true where it is to be refused.
    fn note(&self, request: &hyper::Request<Incoming>) -> bool {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
        let mut requests = self.requests.lock().unwrap();
        requests.push(Request {
            method: request.method().to_string(),
            path: request.uri().to_string(),
            content_type: header("content-type"),
            cache_control: header("cache-control"),
        });
        let each = self.refuses_each.load(Ordering::SeqCst);
        each > 0 && requests.len().is_multiple_of(each)
    }
}

/// Files, with conditions.
struct Store(FileSystem);

#[async_trait]
impl S3 for Store {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.0.put_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.delete_objects(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.0.create_multipart_upload(request).await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.0.upload_part(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.0.complete_multipart_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.0.abort_multipart_upload(request).await
    }

    async fn list_objects_v2(
        &self,
        asked: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.0.list_objects_v2(asked).await
    }

    async fn head_object(&self, asked: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.0.head_object(asked).await
    }

    async fn get_object(&self, asked: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let (if_match, if_none_match) = (asked.input.if_match.clone(), asked.input.if_none_match.clone());
        let found = self.0.get_object(asked).await?;
        let tag = found.output.e_tag.as_ref();
        if if_match.is_some_and(|wanted| !is_same(&wanted, tag)) {
            return Err(s3_error!(PreconditionFailed));
        }
        if if_none_match.is_some_and(|known| is_same(&known, tag)) {
            return Err(s3_error!(NotModified));
        }
        Ok(found)
    }
}

fn is_same(condition: &ETagCondition, tag: Option<&ETag>) -> bool {
    condition.is_any() || condition.as_etag() == tag
}
