//! Reading a body: no more than a body may have, and of all bodies at once no more than there is room for. What has not
//! come yet takes no room, so who withholds a body keeps nobody else out.

use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt;
use revisit_core::{Failure, Kind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::overloaded;

pub const TOO_LARGE: &str = "BODY_TOO_LARGE";
const KIBIBYTE: usize = 1_024;

/// A body, and its place among all.
#[derive(Debug)]
pub struct Held {
    pub bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most so many kibibytes; `room` has a permit for each kibibyte of all.
pub async fn read(body: Body, kibibytes_max: usize, room: &Arc<Semaphore>) -> Result<Held, Failure> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut held) = (Vec::new(), None::<OwnedSemaphorePermit>);
    while let Some(part) = stream.next().await {
        let part = part.map_err(|fault| {
            Failure::new(Kind::Invalid, "BODY_UNREADABLE", "the body ends too early").caused_by(fault)
        })?;
        let length = bytes.len() + part.len();
        if length > kibibytes_max * KIBIBYTE {
            return Err(Failure::new(Kind::Invalid, TOO_LARGE, "the body is too large"));
        }
        let more = length.div_ceil(KIBIBYTE) - held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(more).map_err(Failure::internal)?;
        let more = Arc::clone(room).try_acquire_many_owned(more).map_err(|_| overloaded())?;
        match &mut held {
            Some(held) => held.merge(more),
            None => held = Some(more),
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Held { bytes, _room: held })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_take_room_while_they_are_held_and_what_does_not_fit_is_refused() {
        let room = Arc::new(Semaphore::new(3));
        let body = |bytes: usize| Body::from(vec![b' '; bytes]);
        let first = read(body(KIBIBYTE + 1), 2, &room).await.expect("two of three");
        assert_eq!((first.bytes.len(), room.available_permits()), (KIBIBYTE + 1, 1));
        assert_eq!(read(body(2 * KIBIBYTE), 2, &room).await.expect_err("one is left").reason, "OVERLOADED");
        assert_eq!(room.available_permits(), 1, "what was refused holds nothing");
        assert_eq!(read(body(2 * KIBIBYTE + 1), 2, &room).await.expect_err("too large").reason, TOO_LARGE);
        drop(first);
        read(body(2 * KIBIBYTE), 2, &room).await.expect("there is room again");
        assert_eq!(room.available_permits(), 3);
    }

    #[tokio::test]
    async fn what_comes_in_parts_takes_room_as_it_comes() {
        let room = Arc::new(Semaphore::new(2));
        let parts = [vec![b' '; 10], vec![b' '; KIBIBYTE - 10], vec![b' '; 1]];
        let parts = futures::stream::iter(parts.map(Ok::<_, std::io::Error>));
        let held = read(Body::from_stream(parts), 2, &room).await.expect("it fits");
        assert_eq!((held.bytes.len(), room.available_permits()), (KIBIBYTE + 1, 0));
    }
}
