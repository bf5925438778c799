//! Files that leave in pieces: that they may is confirmed right before each of them goes, not only when a chunk is read.

use futures::{Stream, StreamExt, TryStreamExt, stream};
use revisit_core::Failure;
use revisit_permission::Permit;

/// Bytes of a piece at the most. The transport takes two pieces and a window ahead of whoever reads: what lies there when
/// a right is taken has left, so a piece is small.
const PIECE: usize = 32 << 10;

/// Cuts chunks of a file into pieces; each chunk comes with what it was decided by.
pub fn in_pieces<P, E>(
    chunks: impl Stream<Item = Result<(P, Vec<u8>), E>> + Send + 'static,
) -> impl Stream<Item = Result<Vec<u8>, E>> + Send + 'static
where
    P: Permit + Send + Sync + 'static,
    E: From<Failure> + Send + 'static,
{
    let pieces = chunks.map_ok(|(permit, bytes)| {
        let pieces: Vec<Vec<u8>> = bytes.chunks(PIECE).map(<[u8]>::to_vec).collect();
        stream::iter(pieces).map(move |piece| {
            permit.confirm().map_err(Failure::from)?;
            Ok(piece)
        })
    });
    pieces.try_flatten()
}
