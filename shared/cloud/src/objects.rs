//! The objects of one bucket.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use bytes::Bytes;
use telemetry::Micros;

use crate::error::Error;
use crate::retry::{Backoff, Deadline, until};

/// Most keys in one `DeleteObjects` (Amazon S3 API Reference).
const MAX_DELETE_KEYS: usize = 1_000;
/// How long a large object may take to be sent; S3 answers only then.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Reads and writes the objects of one bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written last, to the second; 1970 if the store does not say.
    pub modified: Micros,
}

/// The pages of a list, one request each.
#[derive(Debug)]
pub struct Pages<'a> {
    bucket: &'a Bucket,
    prefix: &'a str,
    next: Option<String>,
    is_done: bool,
}

impl Bucket {
    /// The bucket called `name`.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Writes an object, again and again until the deadline. The same bytes again change nothing.
    ///
    /// # Errors
    /// If S3 refuses, or the time is over.
    pub async fn put(
        &self,
        key: &str,
        content_type: &str,
        bytes: Bytes,
        deadline: Deadline,
    ) -> Result<(), Error> {
        until("PutObject", deadline, async || {
            let put = self.client.put_object().bucket(&self.name).key(key).content_type(content_type);
            let put = put.body(ByteStream::from(bytes.clone()));
            // Boxed: the SDK's future of a PutObject alone takes 20 KB.
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutObject", error))
        })
        .await
    }

    /// Writes an object from a file, which is read while it is sent.
    ///
    /// # Errors
    /// As [`Bucket::put`], and if the file cannot be read.
    pub async fn put_file(
        &self,
        key: &str,
        content_type: &str,
        file: &Path,
        deadline: Deadline,
    ) -> Result<(), Error> {
        until("PutObject", deadline, async || {
            let body =
                ByteStream::from_path(file).await.map_err(|error| Error::unreadable("PutObject", error))?;
            let put =
                self.client.put_object().bucket(&self.name).key(key).content_type(content_type).body(body);
            let timeouts = TimeoutConfig::builder().read_timeout(UPLOAD_TIMEOUT).build();
            let put = put.customize().config_override(aws_sdk_s3::Config::builder().timeout_config(timeouts));
            Box::pin(put.send()).await.map(drop).map_err(|error| Error::from_sdk("PutObject", error))
        })
        .await
    }

    /// The bytes of an object; `None` if there is none.
    ///
    /// # Errors
    /// If S3 refuses, or the time is over.
    pub async fn get(&self, key: &str, deadline: Deadline) -> Result<Option<Bytes>, Error> {
        self.get_range(key, None, deadline).await
    }

    /// The last `bytes` of an object, or all of a smaller one; `None` if there is none.
    ///
    /// # Errors
    /// As [`Bucket::get`].
    pub async fn get_tail(&self, key: &str, bytes: u64, deadline: Deadline) -> Result<Option<Bytes>, Error> {
        self.get_range(key, Some(format!("bytes=-{bytes}")), deadline).await
    }

    async fn get_range(
        &self,
        key: &str,
        range: Option<String>,
        deadline: Deadline,
    ) -> Result<Option<Bytes>, Error> {
        let got = until("GetObject", deadline, async || {
            let get = self.client.get_object().bucket(&self.name).key(key).set_range(range.clone());
            let output = Box::pin(get.send()).await.map_err(|error| Error::from_sdk("GetObject", error))?;
            let body = output.body.collect().await;
            body.map(|body| body.into_bytes()).map_err(|error| Error::cut_off("GetObject", error))
        });
        match got.await {
            Err(error) if error.code == "NoSuchKey" => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// The objects below `prefix`, in the order of their keys.
    pub fn list<'a>(&'a self, prefix: &'a str) -> Pages<'a> {
        Pages { bucket: self, prefix, next: None, is_done: false }
    }

    /// Deletes objects, 1,000 to a request; those that are gone already count as deleted. Returns the
    /// keys that are left, and the last error.
    pub async fn delete(&self, keys: Vec<String>, deadline: Deadline) -> (Vec<String>, Option<Error>) {
        let mut backoff = Backoff::new(deadline);
        let (mut pending, mut last_error) = (keys, None);
        loop {
            let mut failed = Vec::new();
            let mut can_retry = true;
            for chunk in pending.chunks(MAX_DELETE_KEYS) {
                match deadline.bound("DeleteObjects", self.delete_chunk(chunk)).await {
                    Ok(refused) => {
                        for (key, code) in refused {
                            let error = Error::of_item("DeleteObjects", &code);
                            can_retry &= error.is_retryable();
                            last_error = Some(error);
                            failed.push(key);
                        }
                    }
                    Err(error) => {
                        can_retry &= error.is_retryable();
                        last_error = Some(error);
                        failed.extend_from_slice(chunk);
                    }
                }
            }
            if failed.is_empty() || !can_retry || !backoff.pause(None).await {
                return (failed, last_error);
            }
            pending = failed;
        }
    }

    /// One request; returns the keys that S3 did not delete, and why.
    async fn delete_chunk(&self, keys: &[String]) -> Result<Vec<(String, String)>, Error> {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let objects = objects
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::unreadable("DeleteObjects", error))?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(|error| Error::unreadable("DeleteObjects", error))?;
        let request = Box::pin(self.client.delete_objects().bucket(&self.name).delete(delete).send());
        let output = request.await.map_err(|error| Error::from_sdk("DeleteObjects", error))?;
        let refused = output.errors().iter().filter_map(|error| {
            Some((error.key()?.to_owned(), error.code().unwrap_or("no error code").to_owned()))
        });
        Ok(refused.collect())
    }
}

impl Pages<'_> {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// If S3 refuses, or the time is over.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<Vec<Listed>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let page = until("ListObjectsV2", deadline, async || {
            let list = self.bucket.client.list_objects_v2().bucket(&self.bucket.name).prefix(self.prefix);
            let list = Box::pin(list.set_continuation_token(self.next.clone()).send());
            list.await.map_err(|error| Error::from_sdk("ListObjectsV2", error))
        });
        let page = page.await?;
        let objects = page.contents().iter().filter_map(|object| {
            Some(Listed {
                key: object.key()?.to_owned(),
                bytes: object.size()?.try_into().ok()?,
                modified: Micros(object.last_modified().map_or(0, |at| at.secs().saturating_mul(1_000_000))),
            })
        });
        let objects = objects.collect();
        self.next = page.next_continuation_token;
        self.is_done = self.next.is_none();
        Ok(Some(objects))
    }

    /// All that is left, at once.
    ///
    /// # Errors
    /// As [`Pages::next`].
    pub async fn all(mut self, deadline: Deadline) -> Result<Vec<Listed>, Error> {
        let mut objects = Vec::new();
        while let Some(page) = self.next(deadline).await? {
            objects.extend(page);
        }
        Ok(objects)
    }
}
