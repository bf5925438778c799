//! Kept rows that are waited for: what is decided about them is decided on the state that holds when the answer leaves. On
//! PostgreSQL alone, where a lock makes the wait.

use std::future::Future;

use revisit_proto::identity::v1::{self as pb, revoke_and_wait_request::Target};
use revisit_tests::{
    databases::Backend,
    held::{Held, while_held},
};
use tonic::Code;
use uuid::Uuid;

use super::{
    super::support::{Person, World, refusal, refused},
    contracts, granted, over, register,
};

struct Kept {
    world: World,
    mei: Person,
    grant_id: String,
    row: pb::RowAttributes,
}

impl Kept {
    /// A company with one row, and somebody who may view it until a grant is taken away.
    async fn new() -> Self {
        let world = World::start(Backend::Postgres).await;
        let root = world.tenant.root_department_id.clone();
        register(&world.admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        let keeper = world.user("keeper", &root, "Finance").await.user_id;
        let levels = pb::LayerLevels { basic: pb::Level::Write.into(), ..Default::default() };
        let manage = over(&["external.manage"], pb::ExtentKind::Tenant, &[]);
        let manage = pb::GrantTemplate { levels: Some(levels), ..manage };
        granted(&world.admin, &keeper, manage).await.expect("it is granted");
        let mei = world.user("mei", &root, "Finance").await.user_id;
        let view = over(&["external.view"], pb::ExtentKind::Tenant, &["contract"]);
        let grant_id = granted(&world.admin, &mei, view).await.expect("it is granted").grant_id;
        // Else the list would be refused for another reason: nothing would be left to her to view.
        let own = over(&["external.view"], pb::ExtentKind::Own, &["contract"]);
        granted(&world.admin, &mei, own).await.expect("it is granted");
        let row = pb::RowAttributes {
            row_id: Uuid::from_u128(1).to_string(),
            external_type: "contract".to_owned(),
            ..Default::default()
        };
        let resource = pb::ExternalResource {
            attributes: Some(row.clone()),
            display_name: "Contract".to_owned(),
            ..Default::default()
        };
        let put =
            pb::BatchPutExternalResourcesRequest { external_type: "contract".to_owned(), resources: vec![resource] };
        let keeper = world.log_in("keeper").await;
        keeper.external_resources().batch_put_external_resources(put).await.expect("it is kept");
        let mei = world.log_in("mei").await;
        Self { world, mei, grant_id, row }
    }

    fn question(&self) -> pb::CheckRequest {
        pb::CheckRequest { action: "contract.read".to_owned(), row: Some(self.row.clone()), ..Default::default() }
    }

    /// What is answered when the right is taken away everywhere while the row is being read.
    async fn answer_after_the_right<T>(&self, ask: impl Future<Output = T>) -> T {
        let database = &self.world.database;
        let revoked = async {
            let target = Some(Target::GrantId(self.grant_id.clone()));
            let request = pb::RevokeAndWaitRequest { target, reason: "left the project".to_owned() };
            self.world.admin.access().revoke_and_wait(request).await.expect("it is effective");
        };
        // All columns of rows: what counts them for a hand-over begins otherwise.
        let rows = Held { table: "external_row", statement: "SELECT \"external_row\".\"tenant_id\"" };
        while_held((&database.writer, &database.reader), rows, ask, revoked).await
    }
}

#[tokio::test]
async fn a_right_that_goes_while_kept_rows_are_read_is_gone_from_the_list() {
    let kept = Kept::new().await;
    let list = pb::ListExternalResourcesRequest {
        external_type: "contract".to_owned(),
        action: "contract.read".to_owned(),
        ..Default::default()
    };
    let asked = async || kept.mei.external_resources().list_external_resources(list.clone()).await;
    assert_eq!(asked().await.expect("a list").into_inner().resources.len(), 1);
    let told = kept.answer_after_the_right(asked()).await;
    assert_eq!(refusal(told), refused(Code::Unavailable, "LEASE_EXPIRED"), "the right that it was made by is gone");
    assert_eq!(asked().await.expect("a list").into_inner().resources, [], "whoever asks again");
    kept.world.end().await;
}

#[tokio::test]
async fn a_right_that_goes_while_a_kept_row_is_read_is_gone_from_the_check_and_from_the_batch() {
    for batch in [false, true] {
        let kept = Kept::new().await;
        let asked = async || match batch {
            false => kept.mei.access().check(kept.question()).await.map(|answer| answer.into_inner().allowed),
            true => {
                let request = pb::BatchCheckRequest { checks: vec![kept.question()] };
                let results = kept.mei.access().batch_check(request).await?.into_inner().results;
                let allowed = |it: &pb::BatchCheckResult| matches!(&it.result, Some(pb::batch_check_result::Result::Answer(answer)) if answer.allowed);
                Ok(results.iter().any(allowed))
            }
        };
        assert!(asked().await.expect("an answer"), "she may so far");
        let told = Box::pin(kept.answer_after_the_right(asked())).await;
        assert!(!told.expect("an answer"), "it was allowed all the same (batch: {batch})");
        kept.world.end().await;
    }
}
