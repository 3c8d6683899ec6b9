//! What can go wrong with AWS, and what to do about it. The one place where SDK errors are mapped.

use std::error::Error as StdError;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use thiserror::Error;

/// What is to be done about an error; decided where the error is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The same request may succeed later, not before the given time if there is one.
    Retry {
        /// The service's own hint.
        after: Option<Duration>,
    },
    /// This request will never succeed; others may.
    Reject,
    /// No request will succeed until an operator has mended something.
    Fatal,
}

/// A request to AWS that failed.
#[derive(Debug, Error)]
#[error("{operation} failed: {code}")]
pub struct Error {
    /// The API operation, such as `BatchWriteItem`.
    pub operation: &'static str,
    /// The service's error code, or what kept the request from getting an answer.
    pub code: String,
    /// What is to be done.
    pub disposition: Disposition,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Codes that DynamoDB, S3, SQS and IoT use for "not now" (AWS SDKs and Tools Reference Guide, "Retry behavior").
const RETRY_CODES: [&str; 20] = [
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "ThrottlingException",
    "ThrottlingError",
    "Throttling",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
    "InternalServerError",
    "InternalError",
    "ServiceUnavailable",
    "SlowDown",
    "RequestTimeout",
    "PriorRequestNotComplete",
    "RequestThrottled",
    // AWS IoT's own; 409 is a shadow that somebody else was changing at the same time.
    "ConflictException",
    "InternalFailureException",
    "ServiceUnavailableException",
];

/// Codes that say that this very request is at fault.
const REJECT_CODES: [&str; 7] = [
    "ValidationException",
    "ValidationError",
    "EntityTooLarge",
    "ItemCollectionSizeLimitExceeded",
    "InvalidRequestException",
    "RequestEntityTooLargeException",
    "UnsupportedDocumentEncodingException",
];

/// What the code of an answer with `status` calls for.
pub(crate) fn disposition(code: &str, status: u16) -> Disposition {
    if RETRY_CODES.contains(&code) || status >= 500 || status == 429 {
        Disposition::Retry { after: None }
    } else if REJECT_CODES.contains(&code) {
        Disposition::Reject
    } else {
        Disposition::Fatal
    }
}

impl Error {
    /// An error of one item inside an answer that was a success as a whole.
    pub(crate) fn of_item(operation: &'static str, code: &str) -> Self {
        Self { operation, code: code.to_owned(), disposition: disposition(code, 400), source: None }
    }

    /// Somebody else wrote first, again and again.
    pub fn overtaken(operation: &'static str) -> Self {
        let disposition = Disposition::Retry { after: None };
        Self { operation, code: "overtaken".to_owned(), disposition, source: None }
    }

    /// No answer before the deadline.
    pub(crate) fn timed_out(operation: &'static str) -> Self {
        let disposition = Disposition::Retry { after: None };
        Self { operation, code: "timeout".to_owned(), disposition, source: None }
    }

    /// An answer whose body stopped in the middle.
    #[cfg(feature = "s3")]
    pub(crate) fn cut_off(operation: &'static str, error: impl StdError + Send + Sync + 'static) -> Self {
        let disposition = Disposition::Retry { after: None };
        Self { operation, code: "answer cut off".to_owned(), disposition, source: Some(Box::new(error)) }
    }

    /// An answer that came, and holds what cannot be understood.
    pub(crate) fn unreadable(operation: &'static str, error: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            operation,
            code: "unreadable item".to_owned(),
            disposition: Disposition::Reject,
            source: Some(Box::new(error)),
        }
    }

    /// Maps what the SDK reports of a request.
    pub(crate) fn from_sdk<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let (code, disposition) = match &error {
            SdkError::ServiceError(context) => {
                let code = context.err().code().unwrap_or("no error code").to_owned();
                let disposition = match disposition(&code, context.raw().status().as_u16()) {
                    Disposition::Retry { .. } => Disposition::Retry { after: retry_after(context.raw()) },
                    other => other,
                };
                (code, disposition)
            }
            SdkError::TimeoutError(_) => ("timeout".to_owned(), Disposition::Retry { after: None }),
            SdkError::DispatchFailure(_) => ("no connection".to_owned(), Disposition::Retry { after: None }),
            SdkError::ResponseError(_) => {
                ("unreadable answer".to_owned(), Disposition::Retry { after: None })
            }
            _ => ("request not built".to_owned(), Disposition::Fatal),
        };
        Self { operation, code, disposition, source: Some(Box::new(error)) }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.disposition, Disposition::Retry { .. })
    }
}

/// Seconds in `Retry-After`, as S3 and API gateways send it.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response.headers().get("retry-after")?.parse().ok().map(Duration::from_secs)
}

/// An error and all that caused it, in one line.
pub fn chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(Some(error), |error| StdError::source(*error));
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_what_is_done() {
        let retry = Disposition::Retry { after: None };
        let check = |code: &str, status: u16, expected: Disposition| {
            assert_eq!(disposition(code, status), expected, "{code}");
        };
        check("ProvisionedThroughputExceededException", 400, retry);
        check("SlowDown", 503, retry);
        check("SomethingNew", 500, retry);
        check("SomethingNew", 429, retry);
        check("ConflictException", 409, retry);
        check("InternalFailureException", 500, retry);
        check("ValidationException", 400, Disposition::Reject);
        check("InvalidRequestException", 400, Disposition::Reject);
        check("RequestEntityTooLargeException", 413, Disposition::Reject);
        check("AccessDeniedException", 400, Disposition::Fatal);
        check("ResourceNotFoundException", 400, Disposition::Fatal);
        check("NoSuchBucket", 404, Disposition::Fatal);
    }
}
