//! Bodies: what is sent to clients, and reading what is received whole, up to a bound.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited, combinators::UnsyncBoxBody};

/// Why a body broke. The connection is then reset, never ended cleanly.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(pub String);

/// Every response body of the project.
pub struct Body(Inner);

enum Inner {
    /// Known whole.
    Full(Option<Bytes>),
    /// Streamed.
    Stream(UnsyncBoxBody<Bytes, BodyError>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Full(None))
    }

    /// These bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Inner::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// A stream.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self(Inner::Stream(body.boxed_unsync()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Inner::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(bytes) => bytes.is_none(),
            Inner::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Inner::Stream(body) => body.size_hint(),
        }
    }
}

/// Why a body could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More bytes than the bound.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// It broke.
    #[error("the body broke off: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// Reads a body whole, at most `limit` bytes: an error instead of a truncated or an unbounded read.
///
/// The bytes are a copy of their own size. A body's pieces are windows into the buffer its connection is read with, 8 KiB and
/// more: a remembered manifest of 600 bytes would keep all of it.
///
/// # Errors
/// [`ReadError`].
pub async fn read_bounded<B>(body: B, limit: usize) -> Result<Bytes, ReadError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(collected) => {
            let mut pieces = collected.aggregate();
            let mut bytes = Vec::with_capacity(pieces.remaining());
            while pieces.has_remaining() {
                let piece = pieces.chunk();
                bytes.extend_from_slice(piece);
                let len = piece.len();
                pieces.advance(len);
            }
            Ok(bytes.into())
        }
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ReadError::TooLarge(limit)),
        Err(error) => Err(ReadError::Broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn what_is_read_whole_keeps_no_buffer_of_its_connection() {
        let buffer = Bytes::from(vec![7; 8192]);
        let read = read_bounded(Full::new(buffer.slice(100..700)), 4096).await.unwrap();
        assert_eq!(read, buffer.slice(100..700));
        assert!(buffer.try_into_mut().is_ok(), "the window keeps the buffer");
    }

    #[tokio::test]
    async fn what_is_too_large_is_an_error_and_no_part_of_it() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read_bounded(body(), 5).await.unwrap(), "12345");
        assert!(matches!(read_bounded(body(), 4).await, Err(ReadError::TooLarge(4))));
    }
}
