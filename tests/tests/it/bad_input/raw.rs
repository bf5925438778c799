//! Calls by path with bytes as messages, as a client would make them that was generated from nothing.

use std::time::Duration;

use prost::bytes::{Buf, BufMut};
use revisit_bootstrap::auth::CALLER_HEADER;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

/// Bytes in, bytes out.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// Who a call comes from.
#[derive(Clone)]
pub enum From {
    /// Somebody without a token.
    Nobody,
    /// A person, by the access token.
    Person(String),
    /// A service, by its token.
    Service(&'static str),
}

/// How long a stream that has begun is listened to. An endless one says nothing more, which is no fault.
const LISTEN: Duration = Duration::from_millis(200);
/// Messages of a stream that are read.
const MESSAGES_MAX: usize = 100;

/// Calls a path with one message or several, and listens to what comes back. On the wire a unary call is a stream too.
pub async fn call(channel: &Channel, path: &str, from: &From, messages: Vec<Vec<u8>>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unknown(format!("no connection: {error}")))?;
    let mut request = Request::new(tokio_stream::iter(messages));
    let ascii = |text: &str| -> MetadataValue<Ascii> { text.parse().expect("a token is ASCII") };
    match from {
        From::Nobody => None,
        From::Person(token) => request.metadata_mut().insert("authorization", ascii(&format!("Bearer {token}"))),
        From::Service(token) => request.metadata_mut().insert(CALLER_HEADER, ascii(token)),
    };
    let path: PathAndQuery = path.parse().expect("a path");
    let mut answers = grpc.streaming(request, path, Bytes).await?.into_inner();
    for _ in 0..MESSAGES_MAX {
        match tokio::time::timeout(LISTEN, answers.message()).await {
            Ok(Ok(Some(_))) => (),
            Ok(Ok(None)) | Err(_) => break,
            Ok(Err(status)) => return Err(status),
        }
    }
    Ok(())
}
