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

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use revisit_core::{
        Id, ManualClock, Steady, Timestamp,
        id::{SubjectId, TenantId},
    };
    use revisit_permission::{
        Action, ActionSet, Caller, Change, Extent, Facts, Grant, Keeper, Layer, Leases, Level, Levels, Missing, Origin,
        Push, Removed, Renewal, Snapshot, Subject, SubjectState, Template,
    };
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const TENANT: TenantId = Id::from_uuid(Uuid::from_u128(1));
    const WHO: SubjectId = Id::from_uuid(Uuid::from_u128(2));

    /// Whoever exports may also see: two grants, by their numbers.
    const GRANTS: [(u128, Action); 2] = [(3, Action::CustomerExport), (4, Action::CustomerView)];

    fn rights() -> Vec<Change> {
        let grant = |(number, action)| {
            let template = Template {
                actions: ActionSet::of(&[action]),
                extent: Extent::Tenant,
                stages: None,
                grades: None,
                external: None,
                levels: Levels::of(&[(Layer::Basic, Level::Read)]),
            };
            let id = Id::from_uuid(Uuid::from_u128(number));
            Change::Grant(Grant::of(id, WHO, template, (Timestamp::MIN, Timestamp::MAX), Origin::Direct))
        };
        let who = Change::Subject(Subject::user(WHO, "who", SubjectState::Active));
        std::iter::once(who).chain(GRANTS.map(grant)).collect()
    }

    fn held(keeper: &mut Keeper, now: Steady) {
        keeper.name(TENANT);
        let renewal = Renewal {
            ttl: Duration::from_secs(2),
            database_time: NOW,
            incarnation: "one".to_owned(),
            granted: HashMap::from([(TENANT, 1)]),
        };
        let named = keeper.named();
        let mut load = keeper.renewed(now, &named, &renewal).pop().expect("nothing is held");
        (load.facts, load.revision) = (Facts::of(TENANT, &rights()), 1);
        let snapshot = Snapshot::compile(&load.facts, 1);
        assert!(keeper.loaded(load, snapshot));
    }

    #[tokio::test]
    async fn no_piece_of_a_chunk_that_was_decided_before_leaves_after_either_right_is_gone() {
        for (taken, action) in GRANTS {
            let clock = ManualClock::frozen(NOW);
            let leases = Leases::new(clock.clock());
            let mut keeper = Keeper::new(leases.clone(), Duration::ZERO);
            held(&mut keeper, clock.clock().steady());
            let scope = |action| Caller::named(TENANT, WHO).scope(&leases, action).expect("it is granted");
            let decided = (scope(Action::CustomerExport), scope(Action::CustomerView));
            let chunk = stream::iter([Ok::<_, Failure>((decided, vec![7; 4 * PIECE + 1]))]);
            let mut pieces = Box::pin(in_pieces(chunk));
            for _ in 0..2 {
                assert_eq!(pieces.next().await.expect("a piece").expect("it may leave").len(), PIECE);
            }
            let id = Id::from_uuid(Uuid::from_u128(taken));
            let changes = vec![Change::Removed(Removed::Grant { holder: WHO, id })];
            let push = Push { revision: 2, incarnation: "one".to_owned(), changes };
            let mut load = keeper.pushed(TENANT, push).expect("it is held");
            assert_eq!(load.begin(), Missing::Nothing);
            let snapshot = Snapshot::compile(&load.facts, 2);
            assert!(keeper.loaded(load, snapshot));
            assert!(pieces.next().await.expect("it is told").is_err(), "three pieces were left, without {action:?}");
        }
    }
}
