//! What the log says of large revisions, by what right they were made, and how it is found.

use revisit_proto::identity::v1 as pb;

use super::support::{World, fields, on_each};

/// Ids of one grant: about 39 KB of JSON.
const ROWS: u128 = 1_000;
/// Grants of one holder: together more than one entry holds.
const GRANTS: usize = 6;

fn rows() -> pb::GrantTemplate {
    let row_ids = (0..ROWS).map(|number| uuid::Uuid::from_u128(number + 1).to_string()).collect();
    pb::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(pb::Extent { kind: pb::ExtentKind::Ids.into(), row_ids, ..pb::Extent::default() }),
        levels: Some(pb::LayerLevels { basic: pb::Level::Read.into(), ..pb::LayerLevels::default() }),
        ..pb::GrantTemplate::default()
    }
}

async fn granted(world: &World, holder: &str) -> String {
    let (holder_id, right, reason) = (holder.to_owned(), Some(rows()), "a test".to_owned());
    let request = pb::CreateGrantRequest { holder_id, right, reason, ..pb::CreateGrantRequest::default() };
    world.admin.access().create_grant(request).await.expect("it is granted").into_inner().grant_id
}

#[tokio::test]
async fn a_revision_that_one_entry_cannot_hold_has_several_and_each_thing_is_found_by_its_id() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        world.user("eyes", root, "Auditor").await;
        let eyes = world.log_in("eyes").await;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let mut grants = Vec::new();
        for _ in 0..GRANTS {
            grants.push(granted(world, &mei).await);
        }
        let request = pb::StartHandOverRequest {
            user_id: mei,
            kind: pb::HandOverKind::Leave.into(),
            reason: "leaves".to_owned(),
            ..pb::StartHandOverRequest::default()
        };
        world.admin.hand_overs().start_hand_over(request).await.expect("it begins");
        let mut seen = Vec::new();
        for grant in &grants {
            let entry = world
                .eventually("each grant is found", async || {
                    let resource_id = grant.clone();
                    let request = pb::ListEntriesRequest { resource_id, ..pb::ListEntriesRequest::default() };
                    let listed = eyes.audit().list_entries(request).await.expect("an auditor sees it").into_inner();
                    listed.entries.into_iter().filter_map(|it| it.entry).find(|it| it.why == "leaves")
                })
                .await;
            assert!(entry.before_json.contains(grant.as_str()));
            assert!(entry.witness.contains("position:"), "by what right: {}", entry.witness);
            seen.push(entry.entry_id);
        }
        seen.dedup();
        assert!(seen.len() > 1, "one entry cannot hold it");
    })
    .await;
}

#[tokio::test]
async fn a_role_that_no_entry_could_hold_is_refused() {
    on_each(async |world| {
        let role = pb::CreateRoleRequest {
            key: "endless".to_owned(),
            display_name: "Endless".to_owned(),
            templates: vec![rows(), rows()],
            ..pb::CreateRoleRequest::default()
        };
        assert_eq!(fields(world.admin.access().create_role(role).await), ["request"]);
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_kept_no_longer_are_swept() {
    on_each(async |world| {
        let text = match world.database.backend {
            revisit_tests::databases::Backend::Sqlite => "x'00000000000000000000000000000007'",
            revisit_tests::databases::Backend::Postgres => "'00000000-0000-0000-0000-000000000007'",
        };
        let bytes = match world.database.backend {
            revisit_tests::databases::Backend::Sqlite => "x'07'",
            revisit_tests::databases::Backend::Postgres => "'\\x07'",
        };
        let insert = format!(
            "INSERT INTO request (tenant_id, subject, request_id, rpc, body_digest, answer, expires_at)
             VALUES ({text}, {text}, {text}, 'a call', {bytes}, {bytes}, 1)"
        );
        sea_orm::ConnectionTrait::execute_unprepared(&world.database.writer, &insert).await.expect("it is kept");
        // Another replica looks as soon as it starts.
        let other = world.replica().await;
        world
            .eventually("it is swept", async || {
                let reader = &world.database.reader;
                let text = "SELECT count(*) AS kept FROM request WHERE rpc = 'a call'";
                let statement =
                    sea_orm::Statement::from_string(sea_orm::ConnectionTrait::get_database_backend(reader), text);
                let row = sea_orm::ConnectionTrait::query_one_raw(reader, statement).await.ok()??;
                (row.try_get::<i64>("", "kept").ok()? == 0).then_some(())
            })
            .await;
        other.stop().await.expect("it ends in order");
    })
    .await;
}
