//! Pages of rows: read in bounded batches, kept or not one by one, until the page is full. Users, programs and
//! departments come out of the database as the scope shows them; roles, positions, grants and guards, of which a company
//! has few, are decided here.

use uuid::Uuid;

/// Rows of one batch.
pub const BATCH: u64 = 500;

/// One page of a list.
pub struct Seen<T> {
    pub rows: Vec<T>,
    /// Key of the last row, when there are more.
    pub next: Option<Uuid>,
}

/// A page while it is filled, from batches of at most [`BATCH`] rows in key order.
pub struct Filling<T> {
    rows: Vec<T>,
    size: usize,
    after: Option<Uuid>,
    ended: bool,
}

impl<T> Filling<T> {
    pub fn new(size: u32, after: Option<Uuid>) -> Self {
        Self { rows: Vec::new(), size: usize::try_from(size).unwrap_or(usize::MAX), after, ended: false }
    }

    /// The key after which the next batch begins; nothing when the page is full or the table has ended.
    pub fn wants(&self) -> Option<Option<Uuid>> {
        (!self.ended && self.rows.len() <= self.size).then_some(self.after)
    }

    /// Takes the next batch and keeps the rows that `keep` keeps.
    pub fn take(&mut self, batch: Vec<T>, key: impl Fn(&T) -> Uuid, keep: impl Fn(&T) -> bool) {
        self.ended = u64::try_from(batch.len()).is_ok_and(|found| found < BATCH);
        self.after = batch.last().map(key);
        self.rows.extend(batch.into_iter().filter(|row| keep(row)));
    }

    /// The page. One row more than fits was looked for, so that a last page is known as such.
    pub fn page(mut self, key: impl Fn(&T) -> Uuid) -> Seen<T> {
        let more = self.rows.len() > self.size;
        self.rows.truncate(self.size);
        let next = self.rows.last().filter(|_| more).map(key);
        Seen { rows: self.rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a page of even numbers from a table of `0..end`.
    fn evens(end: u128, size: u32, after: Option<Uuid>) -> Seen<u128> {
        let mut filling = Filling::new(size, after);
        while let Some(after) = filling.wants() {
            let from = after.map_or(0, |key| key.as_u128() + 1);
            let batch = (from..end).take(500).collect();
            filling.take(batch, |it| Uuid::from_u128(*it), |it| it % 2 == 0);
        }
        filling.page(|it| Uuid::from_u128(*it))
    }

    #[test]
    fn a_page_is_full_or_the_last_whatever_lies_between_its_rows() {
        let first = evens(1_700, 400, None);
        assert_eq!((first.rows.len(), first.rows.last()), (400, Some(&798)));
        let second = evens(1_700, 400, first.next);
        assert_eq!((second.rows.first(), second.rows.len()), (Some(&800), 400));
        let third = evens(1_700, 400, second.next);
        assert_eq!((third.rows.len(), third.next), (50, None));
        assert_eq!(evens(800, 400, None).next, None, "nothing lies behind a page that just fits");
    }
}
