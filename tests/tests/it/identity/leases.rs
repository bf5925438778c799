//! What a renewal leaves in identity's database: never less than a later one has, and no acknowledgement of a database
//! that was another one.

use revisit_proto::identity::v1::{self as pb, leases_client::LeasesClient};
use tonic::{Code, Request, Status};

use super::support::{CUSTOMER_TOKEN, World, on_each, refusal, refused};

/// Renews as a replica of customer that names these tenants.
async fn renew(
    world: &World,
    number: i64,
    incarnation: &str,
    tenants: Vec<pb::TenantRevision>,
) -> Result<pb::RenewLeaseResponse, Status> {
    let message = pb::RenewLeaseRequest {
        holder: "customer/of-a-test".to_owned(),
        epoch: "one".to_owned(),
        tenants,
        number,
        incarnation: incarnation.to_owned(),
    };
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
        renew(world, 2, "", named(world, 0)).await.expect("the first that comes");
        let late = renew(world, 1, "", Vec::new()).await;
        assert_eq!(refusal(late), refused(Code::Aborted, "RENEWAL_OVERTAKEN"));
        assert!(!acknowledged(world, lin).await, "the holder has a lease and has heard nothing");
        renew(world, 3, "", Vec::new()).await.expect("the next one counts");
        assert!(acknowledged(world, mei).await, "the holder has given the tenant up");
    })
    .await;
}

#[tokio::test]
async fn what_was_acknowledged_of_another_incarnation_counts_for_nothing() {
    on_each(async |world| {
        let (lin, mei) = (somebody(world, "lin").await, somebody(world, "mei").await);
        let ahead = i64::MAX;
        let answer = renew(world, 1, "the database before it was set back", named(world, ahead)).await;
        let incarnation = answer.expect("it is renewed").incarnation;
        assert!(!acknowledged(world, lin).await, "it has seen none of this database's revisions");
        renew(world, 2, &incarnation, named(world, ahead)).await.expect("it is renewed");
        assert!(acknowledged(world, mei).await);
    })
    .await;
}
