//! Sealed values: bound to their place, opened by their owner's key only, erased with it.

use base64::{Engine, engine::general_purpose::STANDARD};
use revisit_bootstrap::{Database, Sealer, Secret, Tx, seal::Place, settings::SealConfig};
use revisit_core::{Failure, id::TenantId};
use revisit_tests::fake_identity::unknown_id;
use uuid::Uuid;

use super::database::{WORKER, on_each};

fn sealer(current: &str) -> Sealer {
    let key = |byte| Secret::new(STANDARD.encode([byte; 32]));
    let config = SealConfig {
        current: current.to_owned(),
        keys: [("k1".to_owned(), key(1)), ("k2".to_owned(), key(2))].into(),
        index_current: "i1".to_owned(),
        index_keys: [("i1".to_owned(), key(3))].into(),
    };
    Sealer::new(&config).expect("the ring is whole")
}

fn place(row: Uuid) -> Place {
    Place { table: "contact_point", row, column: "value" }
}

async fn seal(database: &Database, sealer: &Sealer, tenant: TenantId, owner: Uuid, place: Place) -> Vec<u8> {
    let sealed = database.write(&WORKER, async |tx: &Tx| sealer.seal(tx, (tenant, owner), place, b"13800138000").await);
    sealed.await.expect("it is sealed")
}

async fn open(
    database: &Database,
    sealer: &Sealer,
    owner: (TenantId, Uuid),
    place: Place,
    sealed: &[u8],
) -> Result<Option<Vec<u8>>, Failure> {
    let opened = database.read(&WORKER, async |tx: &Tx| sealer.open(tx, owner, place, sealed).await);
    Ok(opened.await?.map(|plain| plain.to_vec()))
}

#[tokio::test]
async fn a_sealed_value_opens_in_its_place_and_nowhere_else() {
    on_each(async |database| {
        let (sealer, tenant, owner) = (sealer("k1"), unknown_id(), Uuid::from_u128(1));
        let (here, there) = (place(Uuid::from_u128(10)), place(Uuid::from_u128(11)));
        let sealed = seal(&database, &sealer, tenant, owner, here).await;
        assert!(!sealed.windows(11).any(|window| window == b"13800138000"));
        let opened = open(&database, &sealer, (tenant, owner), here, &sealed).await.expect("it opens");
        assert_eq!(opened.as_deref(), Some(&b"13800138000"[..]));
        // Swapped between rows, columns, tables; and between owners and tenants that have keys of their own.
        let column = Place { column: "other", ..here };
        let table = Place { table: "note", ..here };
        for elsewhere in [there, column, table] {
            assert!(open(&database, &sealer, (tenant, owner), elsewhere, &sealed).await.is_err(), "{elsewhere:?}");
        }
        let (stranger, other): (TenantId, Uuid) = (unknown_id(), Uuid::from_u128(2));
        for owner in [(tenant, other), (stranger, owner)] {
            seal(&database, &sealer, owner.0, owner.1, here).await;
            assert!(open(&database, &sealer, owner, here, &sealed).await.is_err(), "{owner:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_sealed_for_a_destroyed_owner_is_gone_for_good_and_others_stay() {
    on_each(async |database| {
        let (sealer, tenant, here) = (sealer("k1"), unknown_id(), place(Uuid::from_u128(10)));
        let (gone, stays) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed =
            [seal(&database, &sealer, tenant, gone, here).await, seal(&database, &sealer, tenant, stays, here).await];
        let destroyed = database.write(&WORKER, async |tx: &Tx| sealer.destroy(tx, tenant, gone).await);
        destroyed.await.expect("it is destroyed");
        let opened = open(&database, &sealer, (tenant, gone), here, &sealed[0]).await.expect("no fault");
        assert_eq!(opened, None);
        let again = database.write(&WORKER, async |tx: &Tx| sealer.seal(tx, (tenant, gone), here, b"new").await);
        assert_eq!(again.await.expect_err("no new key is made").reason, "ERASED");
        let opened = open(&database, &sealer, (tenant, stays), here, &sealed[1]).await.expect("it opens");
        assert!(opened.is_some());
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sealed_under_a_key_that_was_rolled_back() {
    on_each(async |database| {
        let (first, tenant, here) = (sealer("k1"), unknown_id(), place(Uuid::from_u128(10)));
        // The first transaction that seals for the tenant makes its key, twice over, and is then rolled back.
        let refused = database
            .write(&WORKER, async |tx: &Tx| {
                for owner in 1..=2 {
                    first.seal(tx, (tenant, Uuid::from_u128(owner)), here, b"lost").await?;
                }
                Err::<(), _>(Failure::invalid_field("phone", "is taken"))
            })
            .await;
        assert!(refused.is_err());
        let owner = Uuid::from_u128(3);
        let sealed = seal(&database, &first, tenant, owner, here).await;
        // Another process knows the table only.
        let opened = open(&database, &sealer("k1"), (tenant, owner), here, &sealed).await.expect("it opens");
        assert_eq!(opened.as_deref(), Some(&b"13800138000"[..]));
    })
    .await;
}

#[tokio::test]
async fn keys_are_wrapped_anew_under_the_current_key_of_the_ring() {
    on_each(async |database| {
        let (tenant, owner, here) = (unknown_id(), Uuid::from_u128(1), place(Uuid::from_u128(10)));
        let sealed = seal(&database, &sealer("k1"), tenant, owner, here).await;
        let rotated = sealer("k2");
        let wrap = async || {
            let wrapped = database.write(&WORKER, async |tx: &Tx| rotated.wrap_anew(tx).await);
            wrapped.await.expect("they are wrapped")
        };
        assert_eq!(wrap().await, 1);
        assert_eq!(wrap().await, 0);
        let key = Secret::new(STANDARD.encode([2; 32]));
        let only_new = SealConfig {
            current: "k2".to_owned(),
            keys: [("k2".to_owned(), key.clone())].into(),
            index_current: "k2".to_owned(),
            index_keys: [("k2".to_owned(), key)].into(),
        };
        let only_new = Sealer::new(&only_new).expect("the ring is whole");
        let opened = open(&database, &only_new, (tenant, owner), here, &sealed).await.expect("it opens");
        assert!(opened.is_some(), "the old key of the ring is not needed any more");
    })
    .await;
}

#[tokio::test]
async fn two_first_writers_of_one_owner_agree_on_its_key() {
    on_each(async |database| {
        let (sealer, tenant, owner) = (sealer("k1"), unknown_id(), Uuid::from_u128(1));
        let writers: Vec<_> = (0..8)
            .map(|row| {
                let (database, sealer) = (database.clone(), sealer.clone());
                let here = place(Uuid::from_u128(row));
                tokio::spawn(async move { (here, seal(&database, &sealer, tenant, owner, here).await) })
            })
            .collect();
        for writer in writers {
            let (here, sealed) = writer.await.expect("no panic");
            let opened = open(&database, &sealer, (tenant, owner), here, &sealed).await.expect("it opens");
            assert!(opened.is_some());
        }
    })
    .await;
}
