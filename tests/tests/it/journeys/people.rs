//! Who gets in, and who sees what.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity, notification::v1 as notification};
use revisit_tests::world::{TENANT, World, in_each_world, mask};

fn phone(row: &customer::Customer) -> String {
    row.contact_points.first().map(|point| point.value.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_name_are_refused_alike_and_a_session_outlives_its_access_token() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let unknown = world.log_in(TENANT, "nobody").await.err().expect("nobody is unknown");
        let mut wrong = revisit_tests::world::credentials(TENANT, "mei");
        wrong.password.push('x');
        let person = revisit_standalone::client::Person::log_in(world.running.channel(), world.running.clock(), &wrong);
        let wrong = person.await.err().expect("the password is wrong");
        assert_eq!((wrong.kind, wrong.reason), (unknown.kind, unknown.reason));
        assert_eq!(wrong.kind, Kind::Unauthenticated);
        world.advance(Duration::from_mins(6)).await;
        let profile = identity::GetOwnProfileRequest {};
        let stale = answer(mei.directory().get_own_profile(profile).await).expect_err("the token has ended");
        assert_eq!(stale.kind, Kind::Unauthenticated);
        let fresh = mei.fresh().await.expect("the session goes on");
        assert_eq!(answer(fresh.directory().get_own_profile(profile).await).expect("her own").username, "mei");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_representative_sees_one_customer_clear_one_masked_for_two_hours_and_one_not_at_all() {
    in_each_world(async |world: &World| {
        let east = world.department("华东", &world.root).await;
        let north = world.department("华北", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &east).await;
        let jun = world.hire("jun", "sales_rep", &east).await;
        let lei = world.hire("lei", "sales_rep", &north).await;
        let own = world.customer(&mei, "王芳", "13800001001").await;
        let near = world.customer(&jun, "李强", "13800001002").await;
        let far = world.customer(&lei, "张敏", "13800001003").await;
        share(world, &mei, &near.customer_id, &["customer.view"]).await;
        assert!(!phone(&world.ask(&mei, &own.customer_id).await.expect("her own")).contains('*'));
        assert!(phone(&world.ask(&mei, &near.customer_id).await.expect("shared")).contains('*'));
        let none = world.ask(&mei, &far.customer_id).await.expect_err("not hers");
        assert_eq!(none.kind, Kind::NotFound);
        let nobody = world.ask(&mei, "0190a0a0-0000-7000-8000-000000000001").await.expect_err("nobody");
        assert_eq!((none.reason, none.message), (nobody.reason, nobody.message));
        world.advance(Duration::from_secs(7_201)).await;
        let after = world.ask(&mei, &near.customer_id).await.expect_err("the share has ended");
        assert_eq!(after.kind, Kind::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_on_a_customer_reads_it_or_reads_and_writes_it_and_no_other_of_its_owner() {
    in_each_world(async |world: &World| {
        let east = world.department("华东", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &east).await;
        let [reader, writer] =
            [world.hire("jun", "sales_rep", &east).await, world.hire("lei", "sales_rep", &east).await];
        let shared = world.customer(&mei, "王芳", "13800001001").await.customer_id;
        let kept = world.customer(&mei, "李强", "13800001002").await.customer_id;
        share(world, &reader, &shared, &["customer.view"]).await;
        share(world, &writer, &shared, &["customer.view", "customer.update"]).await;
        let write = async |who: &revisit_standalone::client::Person, customer_id: &str| {
            let (etag, customer_id) = (world.ask(&mei, customer_id).await.expect("hers").etag, customer_id.to_owned());
            let row = customer::Customer { customer_id, city: "上海".to_owned(), ..Default::default() };
            let request = customer::UpdateCustomerRequest {
                customer: Some(row),
                update_mask: mask(&["city"]),
                etag,
                ..Default::default()
            };
            answer(who.fresh().await.expect("a session").customers().update_customer(request).await)
        };
        assert_eq!(write(&reader, &shared).await.expect_err("to read").kind, Kind::Denied);
        assert_eq!(write(&writer, &shared).await.expect("to write").city, "上海");
        for who in [&reader, &writer] {
            assert_eq!(world.ask(who, &shared).await.expect("shared").city, "上海");
            assert_eq!(write(who, &kept).await.expect_err("not shared").kind, Kind::NotFound);
        }
    })
    .await;
}

/// Lets a colleague work on one customer for two hours.
async fn share(world: &World, with: &revisit_standalone::client::Person, customer_id: &str, actions: &[&str]) {
    let basic = match actions.contains(&"customer.update") {
        true => identity::Level::Write,
        false => identity::Level::Read,
    };
    let levels =
        identity::LayerLevels { basic: basic.into(), sensitive: identity::Level::Masked as i32, ..Default::default() };
    let right = identity::GrantTemplate {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        extent: Some(identity::Extent {
            kind: identity::ExtentKind::Ids as i32,
            row_ids: vec![customer_id.to_owned()],
            ..Default::default()
        }),
        levels: Some(levels),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: with.id.to_string(),
        right: Some(right),
        end_time: Some(revisit_bootstrap::wire::time(world.now() + Duration::from_hours(2))),
        reason: "covers for a colleague".to_owned(),
        ..Default::default()
    };
    answer(world.admin.access().create_grant(request).await).expect("a grant");
    world.advance(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_password_link_drawn_by_somebody_else_is_told_whatever_mail_is_wanted() {
    use notification::MessageKind;
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let kind = MessageKind::PasswordLinkDrawn.into();
        let unmailed = notification::KindPreference { kind, channels: Vec::new() };
        let preferences = Some(notification::UserPreferences { kinds: vec![unmailed], ..Default::default() });
        let request = notification::UpdatePreferencesRequest { preferences, update_mask: mask(&["kinds"]) };
        answer(mei.preferences().update_preferences(request).await).expect("she wants no such mail");
        let link = identity::CreatePasswordLinkRequest { user_id: mei.id.to_string() };
        answer(world.admin.directory().create_password_link(link).await).expect("the administrator may");
        world.settle().await;
        let request = notification::ListMessagesRequest { page_size: 1_000, ..Default::default() };
        let messages = answer(mei.inbox().list_messages(request).await).expect("an inbox").messages;
        let told: Vec<_> = messages.iter().filter(|it| it.kind() == MessageKind::PasswordLinkDrawn).collect();
        assert_eq!(told.len(), 1, "{messages:?}");
        let mails = world.sink.mails();
        assert_eq!(mails.iter().filter(|mail| mail.to == ["mei@haitang.example"]).count(), 2, "welcome and warning");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_company_sees_nothing_of_the_first() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let ours = world.customer(&mei, "王芳", "13800001001").await;
        let request = identity::CreateTenantRequest {
            key: "songshu".to_owned(),
            display_name: "松树教育".to_owned(),
            administrator_username: "admin".to_owned(),
            administrator_email: "admin@songshu.example".to_owned(),
            ..Default::default()
        };
        let made = answer(world.operator.directory().create_tenant(request).await).expect("a company");
        let who = revisit_tests::world::credentials("songshu", "admin");
        let (channel, clock) = (world.running.channel(), world.running.clock());
        let theirs = revisit_standalone::client::Person::accept(channel, clock, made.password_token, &who).await;
        let theirs = theirs.expect("the link is good");
        assert!(world.ask(&theirs, &ours.customer_id).await.is_err());
        let user = identity::GetUserRequest { user_id: mei.id.to_string(), read_mask: mask(&["email"]) };
        let unseen = answer(theirs.directory().get_user(user).await).expect_err("another company's");
        assert_eq!(unseen.kind, Kind::NotFound);
        let users = identity::ListUsersRequest::default();
        let users = answer(theirs.directory().list_users(users).await).expect("their own").users;
        assert_eq!(users.len(), 1);
    })
    .await;
}
