//! An answer that has begun and ends with a refusal: an export whose right was taken back while it ran.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Status, body::Body};

use super::{AUDITED_HEADER, Attempt, Ended};
use crate::status;

/// Holds the trailers of an answer back until a refusal in them is in the audit log.
pub fn watched(body: Body, attempt: Attempt) -> Body {
    Body::new(Watched { body, attempt: Some(attempt), ended: None })
}

struct Watched {
    body: Body,
    /// Nothing once the answer has ended.
    attempt: Option<Attempt>,
    /// What the answer ends with, while it is written.
    ended: Option<Ended>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(ended) = self.ended.as_mut() {
                let trailers = ready!(ended.as_mut().poll(context));
                self.ended = None;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match (frame.into_trailers(), self.attempt.take()) {
                (Ok(trailers), Some(attempt)) => self.ended = Some(Box::pin(end(attempt, trailers))),
                (Ok(trailers), None) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                (Err(data), attempt) => {
                    self.attempt = attempt;
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The trailers themselves, or the fault that keeps the refusal from being written.
async fn end(attempt: Attempt, mut trailers: HeaderMap) -> HeaderMap {
    let Some(ended) = Status::from_header_map(&trailers) else { return trailers };
    match attempt.answer(&ended).await {
        Ok(Some(header)) => {
            trailers.insert(AUDITED_HEADER, header);
        }
        Ok(None) => (),
        Err(failure) => {
            trailers.clear();
            if status::status(failure).add_header(&mut trailers).is_err() {
                tracing::debug!("an answer ends without its reason");
            }
        }
    }
    trailers
}
