//! An S3-compatible store that gets what is published.

use std::path::Path as FilePath;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Attribute, Attributes, PutMultipartOptions, PutOptions, WriteMultipart};
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::io::AsyncReadExt;

use crate::config::Target;
use crate::fetch::{self, Credentials, Purpose, S3Settings};
use crate::publish;

use super::{DeliverError, Place, media_type, read};

/// Files up to this size go in one piece, others in parts of it, bytes: S3 wants parts of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts that are on their way at once.
const PARTS_AT_ONCE: usize = 4;
const CONNECT: Duration = Duration::from_secs(20);
const STALL: Duration = Duration::from_mins(1);
/// How often a request is sent again, with growing pauses, before the store is left alone for now.
const RETRIES: usize = 8;
const LONGEST_RETRYING: Duration = Duration::from_mins(4);

/// A bucket, or a folder of it.
pub(super) struct Store {
    address: String,
    root: Path,
    bucket: AmazonS3,
}

impl Store {
    pub(super) fn new(target: &Target) -> Result<Self, String> {
        let credentials = target.credentials.as_deref();
        let credentials = credentials.map(|named| Credentials::named("credentials", named)).transpose()?;
        let address = target.address.clone().unwrap_or_default();
        let settings = S3Settings {
            address: &address,
            region: target.region.as_deref(),
            authorities: target.authorities.as_deref(),
            connect: CONNECT,
            stall: STALL,
            purpose: Purpose::Write,
        };
        let (builder, root) = fetch::s3(&settings, credentials)?;
        let retries =
            RetryConfig { max_retries: RETRIES, retry_timeout: LONGEST_RETRYING, ..RetryConfig::default() };
        let bucket = builder
            .with_retry(retries)
            .build()
            .map_err(|error| format!("{error}; correct the target in the configuration"))?;
        Ok(Self { address, root, bucket })
    }

    fn key(&self, path: &str) -> Path {
        path.split('/').fold(self.root.clone(), Path::join)
    }

    fn refused(&self, error: &object_store::Error) -> DeliverError {
        let reason = format!(
            "{}; check the store, its credentials and the network",
            fetch::cause_of_store_error(error)
        );
        DeliverError::Refused { place: self.address.clone(), reason }
    }

    async fn put_in_parts(
        &self,
        key: &Path,
        file: &FilePath,
        attributes: Attributes,
    ) -> Result<(), DeliverError> {
        let failed = |source| DeliverError::File { path: file.to_owned(), source };
        let mut reader = tokio::fs::File::open(file).await.map_err(failed)?;
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload =
            self.bucket.put_multipart_opts(key, options).await.map_err(|error| self.refused(&error))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            let read = (&mut reader).take(PART_BYTES as u64).read_to_end(&mut part).await.map_err(failed)?;
            if read == 0 {
                break;
            }
            parts.wait_for_capacity(PARTS_AT_ONCE).await.map_err(|error| self.refused(&error))?;
            parts.put(Bytes::from(part));
        }
        parts.finish().await.map(drop).map_err(|error| self.refused(&error))
    }
}

#[async_trait]
impl Place for Store {
    fn address(&self) -> String {
        self.address.clone()
    }

    async fn put(&self, path: &str, file: &FilePath) -> Result<(), DeliverError> {
        let key = self.key(path);
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, media_type(path)),
            (Attribute::CacheControl, publish::cache_control(path)),
        ]);
        let size = std::fs::metadata(file)
            .map_err(|source| DeliverError::File { path: file.to_owned(), source })?
            .len();
        if size > PART_BYTES as u64 {
            return self.put_in_parts(&key, file, attributes).await;
        }
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.bucket.put_opts(&key, read(file)?.into(), options).await;
        put.map(drop).map_err(|error| self.refused(&error))
    }

    async fn remove(&self, path: &str) -> Result<(), DeliverError> {
        match self.bucket.delete(&self.key(path)).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(self.refused(&error)),
            _ => Ok(()),
        }
    }

    async fn probe(&self) -> Result<(), DeliverError> {
        let listed = self.bucket.list_with_delimiter(Some(&self.root)).await;
        listed.map(drop).map_err(|error| self.refused(&error))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::config::TargetKind;

    /// A store whose every answer begins so, and goes on a little later.
    async fn store_that_answers(begin: &'static str, rest: Vec<u8>) -> (Store, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target {
            kind: TargetKind::S3,
            address: Some(format!("http://{}/bucket", listener.local_addr().unwrap())),
            address_file: None,
            products_url: None,
            credentials: None,
            authorities: None,
            region: None,
        };
        let answering = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    asked.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(begin.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                // A client that has had enough goes away.
                let _ = stream.write_all(&rest).await;
            }
        });
        (Store::new(&target).unwrap(), answering)
    }

    /// What is said to be so long would be given so much memory once a second piece of it is there.
    #[tokio::test]
    async fn a_refusal_without_end_is_a_refusal() {
        let begin = "HTTP/1.1 400 Bad Request\r\nContent-Length: 4611686018427387904\r\n\r\na";
        let (store, answering) = store_that_answers(begin, b"b".to_vec()).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("latest.json");
        std::fs::write(&file, "{}").unwrap();
        let error = store.put("latest.json", &file).await.unwrap_err().to_string();
        answering.abort();
        assert!(error.contains("400 Bad Request"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_broken_off() {
        let begin = "HTTP/1.1 200 OK\r\nContent-Length: 9437184\r\n\r\n";
        let (store, answering) = store_that_answers(begin, vec![b' '; 9 << 20]).await;
        let error = store.probe().await.unwrap_err().to_string();
        answering.abort();
        assert!(error.contains("larger than 8388608 bytes"), "{error}");
    }
}
