//! Calls by path with bytes as messages, as a client would make them that was generated from nothing.

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

/// Calls a path.
pub async fn call(channel: &Channel, path: &str, from: &From, message: Vec<u8>) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unknown(format!("no connection: {error}")))?;
    let mut request = Request::new(message);
    let ascii = |text: &str| -> MetadataValue<Ascii> { text.parse().expect("a token is ASCII") };
    match from {
        From::Nobody => None,
        From::Person(token) => request.metadata_mut().insert("authorization", ascii(&format!("Bearer {token}"))),
        From::Service(token) => request.metadata_mut().insert(CALLER_HEADER, ascii(token)),
    };
    let path: PathAndQuery = path.parse().expect("a path");
    grpc.unary(request, path, Bytes).await.map(drop)
}
