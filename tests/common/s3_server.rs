//! A real S3 server over a folder whose folders are the buckets: s3s-fs, which lacks conditions; they are added here.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use nilas::config::{Server, ServerKind};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::ftp_server::{PASSWORD, USER, write_credentials};

/// The bucket that is served.
const BUCKET: &str = "sea-ice";

/// The server; it takes no more connections when dropped.
pub(crate) struct S3Server {
    address: SocketAddr,
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
        let task = tokio::spawn(accept(listener, builder.build()));
        Self { address, secrets, task }
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

async fn accept(listener: TcpListener, service: S3Service) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service.clone();
        tokio::spawn(async move {
            // A client that goes away in the middle is none of the server's concern.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Files, with conditions.
struct Store(FileSystem);

#[async_trait]
impl S3 for Store {
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
