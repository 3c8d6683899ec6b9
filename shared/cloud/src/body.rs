//! Request bodies written straight from the plan.
//!
//! The SDK's typed input is a tree with one allocation or more for each value, and a batch write
//! of 25 spans holds over a thousand values: building, serializing and dropping it costs more than
//! all the rest of the request (measured: ARCHITECTURE.md, "Speed"). So the two hot requests hand
//! the SDK an empty input and replace the body before it is signed; endpoints, signing, transport,
//! errors and answers stay the SDK's.

use aws_sdk_dynamodb::client::customize::CustomizableOperation;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

/// Sends `json` as the body of the operation.
pub(crate) fn with_body<T, E, B>(
    operation: CustomizableOperation<T, E, B>,
    json: String,
) -> CustomizableOperation<T, E, B> {
    let body = Bytes::from(json);
    operation.mutate_request(move |request| {
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body.clone());
    })
}
