//! Bytes that are no message, or the beginning of one.

/// Random messages for each call.
const RANDOM: u64 = 4;
/// Bytes of a random message.
const RANDOM_BYTES: usize = 48;
/// Places at which a good message is cut.
const CUTS: usize = 6;
/// Groups inside groups: deeper than any reader may follow.
const DEEP: usize = 5_000;

/// Malformed messages, each with what is wrong with it. `plausible` is a good one.
pub fn malformed(plausible: &[u8], seed: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = [
        ("a number without an end", [&[0x08][..], &[0xff; 11]].concat()),
        ("a length beyond the end", vec![0x0a, 0xff, 0xff, 0xff, 0x7f, 1]),
        ("the greatest length", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("field number 0", vec![0x02, 0x00]),
        ("an unknown wire type", vec![0x0e, 0x00]),
        ("a number where text is", vec![0x08, 0x01]),
        ("text where a number is", vec![0x12, 0x01, b'a']),
        ("text that is no UTF-8", vec![0x0a, 0x02, 0xff, 0xfe]),
        ("the end of a group that never began", vec![0x0c]),
        ("groups without an end", vec![0x0b; DEEP]),
        ("only zeros", vec![0; RANDOM_BYTES]),
    ]
    .into_iter()
    .map(|(what, bytes)| (what.to_owned(), bytes))
    .collect();
    let cut = |place: usize| plausible.len() * place / CUTS;
    all.extend((1..CUTS).map(cut).map(|end| (format!("cut at {end}"), plausible[..end].to_vec())));
    all.extend((0..RANDOM).map(|number| (format!("random {number}"), random(seed, number))));
    all
}

/// The same bytes in every run.
fn random(seed: &str, number: u64) -> Vec<u8> {
    let mut state = seed.bytes().fold(number.wrapping_add(0x9E37_79B9_7F4A_7C15), |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..RANDOM_BYTES).map(|_| next()).collect()
}
