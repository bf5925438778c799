//! Reading what callers send: every rule is checked and all violations are told at once.

use prost_types::FieldMask;
use revisit_core::{Failure, Id, Input, page::Page};

use crate::domain::profile::read_reason;

pub mod access;
pub mod auth;
pub mod directory;
pub mod external;
pub mod previews;
pub mod rights;

/// A page of a list that is ordered by id.
pub struct Paged<K> {
    pub page: Page,
    pub after: Option<Id<K>>,
}

/// Reads `page_size` and `page_token`; `shape` is what must not change between pages.
pub fn page<K>(input: &mut Input, size: i32, token: &str, shape: &[&str]) -> Result<Paged<K>, Failure> {
    let page = Page::read(input, size, token, shape);
    let after = match page.after.as_deref() {
        None => None,
        Some(bytes) => Some(Id::from_uuid(uuid::Uuid::from_slice(bytes).map_err(|_| Page::unreadable())?)),
    };
    Ok(Paged { page, after })
}

impl<K> Paged<K> {
    /// The token of the page after the row with this key.
    pub fn token(&self, next: Option<uuid::Uuid>) -> String {
        next.map(|key| self.page.token(key.as_bytes())).unwrap_or_default()
    }
}

/// One id, alone in a request.
pub fn id<K>(field: &str, text: &str) -> Result<Id<K>, Failure> {
    let mut input = Input::default();
    let id = input.id(field, text);
    input.finish()?;
    Ok(id)
}

/// The paths of an update mask; each must be one of `known`, and there must be one.
pub fn mask(input: &mut Input, mask: Option<FieldMask>, known: &[&str]) -> Vec<String> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    input.require(!paths.is_empty(), "update_mask", "is required");
    for path in &paths {
        input.require(known.contains(&path.as_str()), "update_mask", "names a field that cannot be changed");
    }
    paths
}

/// Whether a mask names a field.
pub fn names(paths: &[String], field: &str) -> bool {
    paths.iter().any(|path| path == field)
}

/// An id and why something is done to it.
pub fn id_and_reason<K>(field: &str, id: &str, reason: &str) -> Result<(Id<K>, String), Failure> {
    let mut input = Input::default();
    let read = (input.id(field, id), read_reason(&mut input, reason));
    input.finish()?;
    Ok(read)
}
