//! Pages: a bounded size, and an opaque token that pins the list it belongs to.
//!
//! A token carries the key after which the next page starts and a fingerprint of the list's shape (filter, order).
//! It carries no right: every page is decided anew, so a forged token shows nothing that its holder may not see.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{failure::Failure, input::Input};

/// Rows of a page when the caller names no size.
pub const PAGE_SIZE_DEFAULT: u32 = 50;
/// Rows of a page at the most; a larger wish is cut to it, as AIP-158 asks.
pub const PAGE_SIZE_MAX: u32 = 1_000;
/// Bytes of a token at the most.
const TOKEN_MAX: usize = 2_048;
/// Bytes of the shape's fingerprint at the front of a token.
const SHAPE: usize = 8;

/// Which page of which list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows wanted, between 1 and [`PAGE_SIZE_MAX`].
    pub size: u32,
    /// The key of the last row of the page before, as the store wrote it.
    pub after: Option<Vec<u8>>,
    shape: [u8; SHAPE],
}

impl Page {
    /// Reads `page_size` and `page_token`. `shape` is everything that must not change between pages.
    pub fn read(input: &mut Input, size: i32, token: &str, shape: &[&str]) -> Self {
        let shape = fingerprint(shape);
        let size = match u32::try_from(size) {
            Ok(0) => PAGE_SIZE_DEFAULT,
            Ok(size) => size.min(PAGE_SIZE_MAX),
            Err(_) => {
                input.refuse("page_size", "must not be negative");
                PAGE_SIZE_DEFAULT
            }
        };
        let after = match decode(token, shape) {
            Ok(after) => after,
            Err(rule) => {
                input.refuse("page_token", rule);
                None
            }
        };
        Self { size, after, shape }
    }

    /// The first page of an internal walk over a list.
    #[must_use]
    pub fn first(size: u32) -> Self {
        Self { size, after: None, shape: fingerprint(&[]) }
    }

    /// The token of the page that follows the row with this key.
    #[must_use]
    pub fn token(&self, last: &[u8]) -> String {
        let mut bytes = self.shape.to_vec();
        bytes.extend_from_slice(last);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The failure for a key that the store cannot read back.
    #[must_use]
    pub fn unreadable() -> Failure {
        Failure::invalid_field("page_token", "was not made by this list")
    }
}

fn fingerprint(shape: &[&str]) -> [u8; SHAPE] {
    let mut hasher = blake3::Hasher::new();
    for part in shape {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut out = [0; SHAPE];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..SHAPE]);
    out
}

fn decode(token: &str, shape: [u8; SHAPE]) -> Result<Option<Vec<u8>>, &'static str> {
    if token.is_empty() {
        return Ok(None);
    }
    if token.len() > TOKEN_MAX {
        return Err("is too long");
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| "is malformed")?;
    match bytes.split_at_checked(SHAPE) {
        Some((found, after)) if found == shape => Ok(Some(after.to_vec())),
        Some(_) => Err("belongs to a list with another filter or order"),
        None => Err("is malformed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_serves_only_the_list_that_made_it() {
        let mut input = Input::default();
        let page = Page::read(&mut input, 10, "", &["stage == 'lead'"]);
        let token = page.token(b"key");
        assert_eq!(Page::read(&mut input, 10, &token, &["stage == 'lead'"]).after.as_deref(), Some(&b"key"[..]));
        assert!(input.violations().is_empty());
        let _ = Page::read(&mut input, 10, &token, &["stage == 'won'"]);
        assert_eq!(input.violations().len(), 1);
    }
}
