//! Whose import has its turn, and when one that always loses against others stops.

use std::collections::HashMap;

use revisit_core::id::{JobId, TenantId};

use crate::{
    domain::Error,
    store::{
        imports::{Job, State},
        save::MATCH_RACE,
    },
};

/// Races that a batch may lose in a row. Each try has seen what the one before lost to, so whoever loses this often loses
/// to something that it will never see.
const RACES_MAX: u32 = 20;
/// Companies whose lost races are remembered at once. Beyond it all begin anew: that costs tries, and stops nobody too early.
const COMPANIES_MAX: usize = 1_000;

/// What a turn came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// There is no job.
    Nothing,
    /// A job got on, or ended.
    Done,
    /// Somebody else was first: others go before it is tried again.
    Lost,
}

/// Whose turn it was last, and who has lost how often since. It is remembered here only: a restart forgives.
#[derive(Default)]
pub struct Turns {
    pub last: Option<TenantId>,
    /// Of each company the batch that lost last; a company whose job got on is not in here.
    lost: HashMap<TenantId, Lost>,
}

struct Lost {
    job: JobId,
    next_row: i64,
    times: u32,
}

impl Turns {
    /// Counts a lost race; answers whether the batch has lost too often.
    ///
    /// Taking back gets on by losing: what somebody has touched meanwhile it leaves.
    pub fn lose(&mut self, job: &Job) -> bool {
        if job.state == State::Reverting {
            return false;
        }
        if self.lost.len() >= COMPANIES_MAX && !self.lost.contains_key(&job.tenant) {
            self.lost.clear();
        }
        let anew = || Lost { job: job.id, next_row: job.next_row, times: 0 };
        let lost = self.lost.entry(job.tenant).or_insert_with(anew);
        if (lost.job, lost.next_row) != (job.id, job.next_row) {
            *lost = anew();
        }
        lost.times += 1;
        lost.times >= RACES_MAX
    }

    /// The company's job got on, ended, or waits for something else.
    pub fn forgive(&mut self, tenant: TenantId) {
        self.lost.remove(&tenant);
    }

    /// No job waits: whatever has lost here was ended elsewhere.
    pub fn forgive_all(&mut self) {
        self.lost.clear();
    }
}

/// Whether another replica was faster, or somebody took a key in between: the next look finds it as it is now.
pub fn is_race(error: &Error) -> bool {
    let is_late = matches!(error, Error::ImportState { .. } | Error::EtagStale { .. } | Error::ExternalIdTaken);
    is_late || error.reason() == MATCH_RACE
}

#[cfg(test)]
mod tests {
    use revisit_core::{Id, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::domain::sheet::Encoding;

    fn job(tenant: u128, state: State) -> Job {
        Job {
            tenant: Id::from_uuid(Uuid::from_u128(tenant)),
            id: Id::from_uuid(Uuid::from_u128(9)),
            subject: Id::from_uuid(Uuid::from_u128(8)),
            file_name: String::new(),
            is_xlsx: false,
            encoding: Encoding::parse("utf-8"),
            delimiter: b',',
            state,
            headers: Vec::new(),
            mapping: Vec::new(),
            row_count: 1_000,
            next_row: 0,
            next_position: 0,
            created: 0,
            merged: 0,
            duplicate: 0,
            foreign: 0,
            rejected: 0,
            kept: 0,
            stop_reason: String::new(),
            created_at: Timestamp::from_seconds(0),
            ended_at: None,
        }
    }

    /// How many races a job may lose in a row.
    fn lives(turns: &mut Turns, job: &Job) -> u32 {
        (1..=100).find(|_| turns.lose(job)).unwrap_or(u32::MAX)
    }

    #[test]
    fn a_batch_loses_so_often_in_a_row_whoever_else_loses_meanwhile() {
        let mut turns = Turns::default();
        let (one, other) = (job(1, State::Running), job(2, State::Running));
        for _ in 1..RACES_MAX {
            assert!(!turns.lose(&one) && !turns.lose(&other));
        }
        assert!(turns.lose(&one) && turns.lose(&other));
    }

    #[test]
    fn a_job_that_gets_on_begins_anew_whoever_moves_it() {
        let mut turns = Turns::default();
        let here = job(1, State::Running);
        assert!(!turns.lose(&here));
        turns.forgive(here.tenant);
        assert_eq!(lives(&mut turns, &here), RACES_MAX);
        let moved = Job { next_row: 500, ..here.clone() };
        assert_eq!(lives(&mut turns, &moved), RACES_MAX, "another replica did the batch");
        let next = Job { id: Id::from_uuid(Uuid::from_u128(10)), ..moved };
        assert_eq!(lives(&mut turns, &next), RACES_MAX, "it is another file");
    }

    #[test]
    fn what_is_remembered_of_lost_races_has_an_end() {
        let mut turns = Turns::default();
        let companies = u128::try_from(COMPANIES_MAX).unwrap_or(u128::MAX);
        for company in 0..=companies {
            assert!(!turns.lose(&job(company, State::Running)));
        }
        assert_eq!(turns.lost.len(), 1, "one too many begins anew");
        turns.forgive_all();
        assert!(turns.lost.is_empty(), "when no job waits nobody has lost");
    }

    #[test]
    fn taking_back_never_loses_too_often() {
        assert_eq!(lives(&mut Turns::default(), &job(1, State::Reverting)), u32::MAX);
    }
}
