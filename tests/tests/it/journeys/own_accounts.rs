//! Rights through a puppet: what is given to an account whose secret or link the giver drew is told as given to oneself.

use revisit_bootstrap::status::answer;
use revisit_proto::identity::v1 as identity;
use revisit_standalone::client::{Credentials, Person};
use revisit_tests::world::{World, credentials, in_each_world};

use identity::AlertRule as Rule;

use super::alerts::told;

async fn self_grants(world: &World, auditor: &Person) -> Vec<String> {
    world.settle().await;
    let auditor = auditor.fresh().await.expect("a session");
    let request = identity::ListAlertsRequest { rule: Rule::SelfGrant.into(), ..Default::default() };
    let alerts = answer(auditor.audit().list_alerts(request).await).expect("an auditor sees them").alerts;
    alerts.into_iter().filter_map(|it| Some(it.raised?.user_id)).collect()
}

/// Gives somebody sight of every customer.
async fn give_sight(who: &Person, holder: &str) {
    let read = identity::Level::Read.into();
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() }),
        levels: Some(identity::LayerLevels { basic: read, sensitive: read, ..Default::default() }),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: holder.to_owned(),
        right: Some(right),
        reason: "a test".to_owned(),
        ..Default::default()
    };
    answer(who.fresh().await.expect("a session").access().create_grant(request).await).expect("it is granted");
}

async fn account(world: &World, name: &str) -> identity::CreateServiceAccountResponse {
    let request = identity::CreateServiceAccountRequest {
        display_name: name.to_owned(),
        department_id: world.root.clone(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.directory().create_service_account(request).await).expect("it is made")
}

/// A link to a user's password, drawn by the administrator.
async fn link(world: &World, user_id: &str) -> String {
    let request = identity::CreatePasswordLinkRequest { user_id: user_id.to_owned() };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.directory().create_password_link(request).await).expect("it is drawn").password_token
}

/// Somebody changes the own password, which nobody else knows then.
async fn changed(world: &World, who: &Person) {
    let (current_password, password) = (credentials("", "").password, "known to nobody else".to_owned());
    let request = identity::ChangePasswordRequest { current_password, password };
    answer(who.fresh().await.expect("a session").auth().change_password(request).await).expect("it is changed");
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_given_to_a_program_by_who_drew_its_secret_are_told_as_given_to_oneself() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        changed(world, &mei).await;
        give_sight(&world.admin, &mei.id).await;
        assert!(self_grants(world, &shen).await.is_empty(), "her password is her own");
        let puppet = account(world, "Warehouse").await;
        assert!(self_grants(world, &shen).await.is_empty(), "it has no right");
        let id = puppet.service_account.expect("the account").service_account_id;
        give_sight(&world.admin, &id).await;
        let credentials = Credentials::account(&id, &puppet.secret);
        let (channel, clock) = (world.running.channel(), world.running.clock());
        Person::log_in(channel, clock, &credentials).await.expect("who knows the secret comes in as it");
        assert_eq!(self_grants(world, &shen).await, [world.admin.id.to_string()]);
        assert_eq!(told(&shen).await, 1, "and it lies in the inbox");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_given_to_who_was_invited_are_told_only_until_the_first_password_is_set() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        give_sight(&world.admin, &mei.id).await;
        assert!(self_grants(world, &shen).await.is_empty(), "she came in by the link and set her password");
        let admin = world.admin.fresh().await.expect("a session");
        let positions = identity::ListPositionsRequest { page_size: 1_000, ..Default::default() };
        let positions = answer(admin.directory().list_positions(positions).await).expect("positions").positions;
        let request = identity::CreateUserRequest {
            username: "lin".to_owned(),
            display_name: "lin".to_owned(),
            email: "lin@example.com".to_owned(),
            department_id: world.root.clone(),
            position_ids: vec![positions[0].position_id.clone()],
            ..Default::default()
        };
        let made = answer(admin.directory().create_user(request).await).expect("she is invited");
        give_sight(&world.admin, &made.user.expect("the user").user_id).await;
        assert_eq!(self_grants(world, &shen).await, [world.admin.id.to_string()], "the link is still good");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_given_to_and_by_a_user_are_told_while_the_link_that_another_drew_is_in_use() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let lin = world.hire("lin", "admin", &world.root).await;
        changed(world, &lin).await;
        // By a link that the administrator has drawn, whoever used it.
        let token = link(world, &lin.id).await;
        let (channel, clock) = (world.running.channel(), world.running.clock());
        let lin = Person::accept(channel, clock, token, &credentials(revisit_tests::world::TENANT, "lin"))
            .await
            .expect("the link is good");
        world.settle().await;
        give_sight(&lin, &shen.id).await;
        assert!(self_grants(world, &shen).await.is_empty(), "that is somebody else");
        give_sight(&lin, &world.admin.id).await;
        assert_eq!(self_grants(world, &shen).await, [lin.id.to_string()], "by who acts as lin to who drew the link");
        give_sight(&world.admin, &lin.id).await;
        let told = self_grants(world, &shen).await;
        assert!(told.contains(&world.admin.id.to_string()), "and the other way round: {told:?}");
    })
    .await;
}
