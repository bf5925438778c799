//! The calls: read, act, answer.

mod calendars;
mod internal;
mod metrics;
mod plans;
mod read;
mod read_calendar;
mod read_plan;
mod read_task;
mod tasks;

use revisit_core::{Failure, Input, id::Id, page::Page};
use revisit_permission::Worker;
use uuid::Uuid;

use crate::App;

/// What serves them all. Cheap to clone.
#[derive(Clone)]
pub struct Served {
    pub app: App,
    /// Answers counts to other services; it reads no row for anybody.
    pub worker: Worker,
}

/// The id after which a page begins.
fn after<K>(page: &Page) -> Result<Option<Id<K>>, Failure> {
    let id = |bytes: &Vec<u8>| Uuid::from_slice(bytes).map(Id::from_uuid).map_err(|_| Page::unreadable());
    page.after.as_ref().map(id).transpose()
}

/// The token of the page that follows an id; empty when there is none.
fn token<K>(page: &Page, next: Option<Id<K>>) -> String {
    next.map(|id| page.token(id.uuid().as_bytes())).unwrap_or_default()
}

/// An etag that may be left out.
fn etag(input: &mut Input, field: &str, text: &str) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let read = text.parse().ok().filter(|version| *version > 0);
    if read.is_none() {
        input.refuse(field, "must be one that this service gave");
    }
    read
}
