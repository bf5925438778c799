//! What a renewal leaves in identity's database: never less than a later one has, and no acknowledgement of a database
//! that was another one.

use std::time::Duration;

use revisit_proto::identity::v1::{self as pb, leases_client::LeasesClient};
use tonic::{Code, Request, Status};

use super::support::{CUSTOMER_TOKEN, World, on_each, refusal, refused};

/// Renews as a replica of customer that names these tenants.
async fn renew(
    world: &World,
    (epoch, number): (&str, i64),
    incarnation: &str,
    tenants: Vec<pb::TenantRevision>,
) -> Result<pb::RenewLeaseResponse, Status> {
    let (holder, epoch, incarnation) = ("customer/of-a-test".to_owned(), epoch.to_owned(), incarnation.to_owned());
    let message = pb::RenewLeaseRequest { holder, epoch, tenants, number, incarnation };
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-revisit-caller", CUSTOMER_TOKEN.parse().expect("ASCII"));
    Ok(LeasesClient::new(world.channel.clone()).renew_lease(request).await?.into_inner())
}

fn named(world: &World, revision: i64) -> Vec<pb::TenantRevision> {
    vec![pb::TenantRevision { tenant_id: world.tenant.tenant_id.clone(), revision }]
}

/// Somebody who will be stopped. Made before the renewal: the row of a silent holder is not kept for long.
async fn somebody(world: &World, username: &str) -> String {
    world.user(username, &world.tenant.root_department_id, "Sales representative").await.user_id
}

/// Stops somebody; whether that is effective because every holder has acknowledged it.
async fn acknowledged(world: &World, user_id: String) -> bool {
    let target = Some(pb::revoke_and_wait_request::Target::UserId(user_id));
    let request = pb::RevokeAndWaitRequest { target, ..pb::RevokeAndWaitRequest::default() };
    world.admin.access().revoke_and_wait(request).await.expect("somebody is stopped").into_inner().acknowledged
}

#[tokio::test]
async fn a_renewal_that_comes_after_a_later_one_does_not_unname_a_tenant() {
    on_each(async |world| {
        let (lin, mei) = (somebody(world, "lin").await, somebody(world, "mei").await);
        renew(world, ("one", 2), "", named(world, 0)).await.expect("the first that comes");
        let late = renew(world, ("one", 1), "", Vec::new()).await;
        assert_eq!(refusal(late), refused(Code::Aborted, "RENEWAL_OVERTAKEN"));
        assert!(!acknowledged(world, lin).await, "the holder has a lease and has heard nothing");
        renew(world, ("one", 3), "", Vec::new()).await.expect("the next one counts");
        assert!(acknowledged(world, mei).await, "the holder has given the tenant up");
    })
    .await;
}

#[tokio::test]
async fn a_late_renewal_of_a_former_life_does_not_unname_what_the_next_one_names() {
    on_each(async |world| {
        let lin = somebody(world, "lin").await;
        renew(world, ("one", 5), "", named(world, 0)).await.expect("the former life");
        renew(world, ("two", 1), "", named(world, 0)).await.expect("the next one");
        renew(world, ("one", 6), "", Vec::new()).await.expect("it was on its way");
        assert!(!acknowledged(world, lin).await, "the next life has a lease and has heard nothing");
    })
    .await;
}

/// Renews again and again as somebody who has loaded whatever it is told of; whether what is revoked meanwhile is
/// effective because it was acknowledged.
async fn heard(world: &World, (life, incarnation): (&str, &str), ahead: i64, user_id: String) -> bool {
    let renewed = async |number: i64, loaded: i64| {
        let renewed = renew(world, (life, number), incarnation, named(world, loaded + ahead)).await;
        renewed.expect("it is renewed").tenants.first().expect("the company is known").revision
    };
    // Before anybody is stopped: nobody waits for a holder who has not named the company yet.
    let mut loaded = renewed(1, 0).await;
    let hearing = async {
        for number in 2.. {
            tokio::time::sleep(Duration::from_millis(20)).await;
            loaded = renewed(number, loaded).await;
        }
    };
    tokio::select! {
        effective = acknowledged(world, user_id) => effective,
        () = hearing => unreachable!("it goes on"),
    }
}

#[tokio::test]
async fn what_was_acknowledged_of_another_history_counts_for_nothing() {
    on_each(async |world| {
        let incarnation = renew(world, ("zero", 1), "", Vec::new()).await.expect("it is renewed").incarnation;
        for (name, incarnation, ahead, counts) in [
            ("lin", "the database before it was restored", 0, false),
            ("mei", incarnation.as_str(), 1_000, false),
            ("wei", incarnation.as_str(), 0, true),
        ] {
            let user = somebody(world, name).await;
            // Another life of the holder each time: the numbers begin anew, and the one before gives everything up.
            assert_eq!(heard(world, (name, incarnation), ahead, user).await, counts, "{name}");
            renew(world, (name, i64::MAX), incarnation, Vec::new()).await.expect("the last one");
        }
    })
    .await;
}
