//! Log-in, sessions and passwords.

use revisit_proto::identity::v1 as pb;
use tonic::Code;

use super::support::{
    COMPANY, PASSWORD, Person, fields, init, log_in, on_each, refusal, refused, set_password, try_password,
};

#[tokio::test]
async fn init_refuses_to_run_twice() {
    on_each(async |world| {
        let again = init(&world.database, world.folder()).await;
        assert_eq!(again.err().expect("it is refused").reason, "ALREADY_INITIALISED");
    })
    .await;
}

#[tokio::test]
async fn an_invited_user_logs_in_only_after_setting_a_password_with_a_link_that_works_once() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let request = world.new_user("mei", root, "Sales representative").await;
        let made = world.admin.directory().create_user(request).await.expect("it is made").into_inner();
        let early = log_in(&world.channel, COMPANY, "mei").await;
        assert_eq!(refusal(early), refused(Code::Unauthenticated, "LOG_IN_REFUSED"));
        let weak = pb::SetPasswordRequest { password_token: made.password_token.clone(), password: "short".to_owned() };
        assert_eq!(fields(world.auth().set_password(weak).await), ["password"]);
        set_password(&world.channel, &made.password_token).await.expect("the token is good");
        let again = set_password(&world.channel, &made.password_token).await;
        assert_eq!(refusal(again), refused(Code::Unauthenticated, "PASSWORD_LINK_REFUSED"));
        let mei = log_in(&world.channel, COMPANY, "MEI").await.expect("case does not matter");
        let own = mei.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.expect("her own").into_inner();
        assert_eq!((own.username.as_str(), own.state()), ("mei", pb::SubjectState::Active));
    })
    .await;
}

#[tokio::test]
async fn a_suspension_ends_password_links_and_lets_none_be_drawn() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Sales representative").await.user_id;
        let draw = async || {
            let request = pb::CreatePasswordLinkRequest { user_id: mei.clone() };
            world.admin.directory().create_password_link(request).await.map(tonic::Response::into_inner)
        };
        let leaked = draw().await.expect("she has lost her password").password_token;
        let request = pb::SuspendUserRequest { user_id: mei.clone(), ..pb::SuspendUserRequest::default() };
        world.admin.directory().suspend_user(request).await.expect("she is stopped");
        let dead = refused(Code::Unauthenticated, "PASSWORD_LINK_REFUSED");
        assert_eq!(refusal(set_password(&world.channel, &leaked).await), dead);
        assert_eq!(refusal(draw().await), refused(Code::FailedPrecondition, "USER_STATE"));
        let request = pb::ReactivateUserRequest { user_id: mei.clone(), ..pb::ReactivateUserRequest::default() };
        world.admin.directory().reactivate_user(request).await.expect("she works again");
        assert_eq!(refusal(set_password(&world.channel, &leaked).await), dead);
        world.log_in("mei").await;
    })
    .await;
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_are_refused_alike_and_delay_the_next_attempt() {
    on_each(async |world| {
        let wrong =
            async |username: &str| refusal(try_password(&world.channel, (COMPANY, username), "not the password").await);
        assert_eq!(wrong("boss").await, wrong("nobody").await);
        let elsewhere = try_password(&world.channel, ("no-such-company", "boss"), PASSWORD).await;
        assert_eq!(refusal(elsewhere), refused(Code::Unauthenticated, "LOG_IN_REFUSED"));
        for _ in 0..4 {
            assert_eq!(wrong("boss").await.1, "LOG_IN_REFUSED");
        }
        let right = try_password(&world.channel, (COMPANY, "boss"), PASSWORD).await;
        assert_eq!(refusal(right), refused(Code::ResourceExhausted, "LOG_IN_DELAYED"));
        try_password(&world.channel, (revisit_identity::OPERATORS, "operator"), PASSWORD).await.expect("others pass");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    on_each(async |world| {
        let refresh = async |token: &str| {
            let request = pb::RefreshRequest { refresh_token: token.to_owned() };
            world.auth().refresh(request).await.map(tonic::Response::into_inner)
        };
        let admin = &world.admin;
        let first = admin.tokens.refresh_token.clone();
        let second = refresh(&first).await.expect("it is the current one");
        let third = refresh(&second.refresh_token).await.expect("it is the current one");
        assert_eq!(third.session_id, admin.tokens.session_id);
        assert_eq!(refusal(refresh("nonsense").await), refused(Code::Unauthenticated, "REFRESH_REFUSED"));
        refresh(&third.refresh_token).await.expect("a forged token has ended nothing");
        assert_eq!(refusal(refresh(&first).await), refused(Code::Unauthenticated, "REFRESH_REFUSED"));
        world
            .eventually("the session of a stolen token ends", async || {
                let own = admin.directory().get_own_profile(pb::GetOwnProfileRequest {}).await;
                own.err().filter(|status| status.code() == Code::Unauthenticated)
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn who_logs_out_is_refused_from_then_on_and_others_are_not() {
    on_each(async |world| {
        let (one, other) = (world.log_in("boss").await, world.log_in("boss").await);
        let out = one.auth().log_out(pb::LogOutRequest {}).await.expect("it ends").into_inner();
        // Whoever shows the revision that ended the session is answered on it or not at all.
        let mut request = tonic::Request::new(pb::GetOwnProfileRequest {});
        request.metadata_mut().insert("x-revisit-at-least", out.revision_token.parse().expect("ASCII"));
        let after = one.directory().get_own_profile(request).await;
        assert_eq!(after.expect_err("it has ended").code(), Code::Unauthenticated);
        other.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.expect("another session lives");
        let listed = other.auth().list_sessions(pb::ListSessionsRequest::default()).await.expect("her own");
        let listed = listed.into_inner().sessions;
        assert!(listed.iter().all(|session| session.session_id != one.tokens.session_id));
        assert!(listed.iter().any(|session| session.session_id == other.tokens.session_id));
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    on_each(async |world| {
        let (one, other) = (world.log_in("boss").await, world.log_in("boss").await);
        let change = |current: &str| pb::ChangePasswordRequest {
            current_password: current.to_owned(),
            password: "quite another password".to_owned(),
        };
        assert_eq!(fields(one.auth().change_password(change("a guess")).await), ["current_password"]);
        one.auth().change_password(change(PASSWORD)).await.expect("it is changed");
        world
            .eventually("the other session ends", async || {
                other.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.err()
            })
            .await;
        one.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.expect("this one lives");
        let old = try_password(&world.channel, (COMPANY, "boss"), PASSWORD).await;
        assert_eq!(refusal(old), refused(Code::Unauthenticated, "LOG_IN_REFUSED"));
    })
    .await;
}

#[tokio::test]
async fn a_program_logs_in_with_its_secret_until_that_is_rotated() {
    on_each(async |world| {
        let request = pb::CreateServiceAccountRequest {
            display_name: "Warehouse".to_owned(),
            department_id: world.tenant.root_department_id.clone(),
            role_ids: vec![world.role("marketing").await],
            ..pb::CreateServiceAccountRequest::default()
        };
        let made = world.admin.directory().create_service_account(request).await.expect("it is made").into_inner();
        let id = made.service_account.expect("the answer holds it").service_account_id;
        let log_in = async |secret: &str| {
            let request = pb::LogInServiceAccountRequest { service_account_id: id.clone(), secret: secret.to_owned() };
            world.auth().log_in_service_account(request).await.map(tonic::Response::into_inner)
        };
        assert_eq!(log_in(&made.secret).await.expect("the secret is good").subject_id, id);
        let rotate = pb::RotateServiceAccountSecretRequest { service_account_id: id.clone(), reason: String::new() };
        let rotated = world.admin.directory().rotate_service_account_secret(rotate).await.expect("it is rotated");
        assert_eq!(refusal(log_in(&made.secret).await), refused(Code::Unauthenticated, "LOG_IN_REFUSED"));
        log_in(&rotated.into_inner().secret).await.expect("the new secret is good");
    })
    .await;
}

#[tokio::test]
async fn a_log_in_beyond_the_bound_ends_the_oldest_session_and_a_new_password_all_others() {
    on_each(async |world| {
        world.user("mei", &world.tenant.root_department_id, "Sales representative").await;
        let mut people = Vec::new();
        for _ in 0..=super::support::SESSIONS_MAX {
            people.push(world.log_in("mei").await);
        }
        let ended = async |person: &Person| {
            let own = person.directory().get_own_profile(pb::GetOwnProfileRequest {}).await;
            own.err().filter(|status| status.code() == Code::Unauthenticated)
        };
        world.eventually("the oldest session ends", async || ended(&people[0]).await).await;
        let newest = people.last().expect("they have logged in").clone();
        let listed = newest.auth().list_sessions(pb::ListSessionsRequest::default()).await.expect("her own");
        assert_eq!(listed.into_inner().sessions.len(), super::support::SESSIONS_MAX);
        assert!(ended(&people[1]).await.is_none(), "the second oldest lives");
        let change = pb::ChangePasswordRequest {
            current_password: PASSWORD.to_owned(),
            password: "quite another password".to_owned(),
        };
        newest.auth().change_password(change).await.expect("it is changed");
        for person in &people[..people.len() - 1] {
            world.eventually("every other session ends", async || ended(person).await).await;
        }
        assert!(ended(&newest).await.is_none(), "this one lives");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_current_password_counts_with_the_wrong_passwords_of_log_ins() {
    on_each(async |world| {
        let wrong = || pb::ChangePasswordRequest {
            current_password: "a guess".to_owned(),
            password: "quite another password".to_owned(),
        };
        for _ in 0..3 {
            assert_eq!(fields(world.admin.auth().change_password(wrong()).await), ["current_password"]);
        }
        // Four failures are free; alone, those of the log-ins would be.
        let mut tried = Vec::new();
        for _ in 0..4 {
            tried.push(refusal(try_password(&world.channel, (COMPANY, "boss"), "a guess").await).1);
        }
        assert!(tried.contains(&"LOG_IN_DELAYED".to_owned()), "{tried:?}");
    })
    .await;
}

/// What the log says of failed log-ins: reason, type and id, how many; oldest first.
async fn failed(eyes: &Person) -> Vec<(String, String, Vec<String>, i64)> {
    let request = pb::ListEntriesRequest { action: "auth.log_in".to_owned(), ..pb::ListEntriesRequest::default() };
    let listed = eyes.audit().list_entries(request).await.expect("an auditor sees it").into_inner().entries;
    let entries = listed.into_iter().rev().filter_map(|it| it.entry);
    let failed = entries.filter(|it| it.outcome() == pb::AuditOutcome::Failed);
    failed.map(|it| (it.reason_code, it.resource, it.resource_ids, it.count)).collect()
}

#[tokio::test]
async fn a_failed_log_in_is_in_the_log_with_whom_it_named_and_each_that_was_put_off_at_once() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        world.user("eyes", root, "Auditor").await;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let eyes = world.log_in("eyes").await;
        let wrong = async |username: &str| {
            refusal(try_password(&world.channel, (COMPANY, username), "not the password").await).1
        };
        for username in ["nobody", "no-one", "nobody"] {
            assert_eq!(wrong(username).await, "LOG_IN_REFUSED");
        }
        let mut expected = vec![("LOG_IN_REFUSED".to_owned(), "username".to_owned(), 1); 3];
        for _ in 0..8 {
            expected.push((wrong("mei").await, "user".to_owned(), 1));
        }
        assert!(expected.iter().any(|(reason, ..)| reason == "LOG_IN_DELAYED"), "{expected:?}");
        let entries = world
            .eventually("the entries are chained", async || {
                Some(failed(&eyes).await).filter(|it| it.len() >= expected.len())
            })
            .await;
        let mut words: Vec<_> =
            entries.iter().map(|(reason, resource, _, count)| (reason.clone(), resource.clone(), *count)).collect();
        words.sort();
        expected.sort();
        assert_eq!(words, expected);
        let of = |resource: &str| -> Vec<_> {
            entries.iter().filter(|it| it.1 == resource).map(|it| it.2.clone()).collect()
        };
        assert!(of("user").iter().all(|ids| *ids == [mei.clone()]));
        let mut names = of("username");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2, "equal names are told to be equal");
    })
    .await;
}
