//! One-time links that were lost before anybody used them.

use revisit_core::{Clock, Ids};
use revisit_identity::FirstLink;
use tonic::Code;

use super::support::{
    ADMINISTRATOR, COMPANY, World, channel, first_log_in, init, layers, log_in, on_each, refusal, refused, replica,
    set_password,
};
use revisit_tests::databases::{Backend, TestDatabase};

async fn renew(database: &TestDatabase, folder: &tempfile::TempDir) -> Vec<FirstLink> {
    let mut layers = layers(database, folder);
    let config: revisit_identity::Config = layers.take("identity").expect("the section is valid");
    let settings: revisit_bootstrap::Settings = layers.finish().expect("the settings are valid");
    let sources = (Clock::system(), Ids::random());
    let made = revisit_identity::new_first_links(&config, &settings.database, sources).await;
    let mut links = made.expect("they are renewed");
    // Both companies are of one moment, so their ids have no order.
    links.sort_by(|one, other| one.username.cmp(&other.username));
    links
}

#[tokio::test]
async fn first_links_that_were_lost_are_replaced_until_they_are_used() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let database = TestDatabase::new(backend).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lost = init(&database, &folder).await.expect("it is initialised");
        let links = renew(&database, &folder).await;
        let names: Vec<_> = links.iter().map(|link| (link.tenant_key.as_str(), link.username.as_str())).collect();
        assert_eq!(names, [(COMPANY, ADMINISTRATOR), ("operators", "operator")]);
        let running = replica(&database, &folder).await;
        let channel = channel(&running);
        let dead = set_password(&channel, &lost.tenant.password_token).await;
        assert_eq!(refusal(dead), refused(Code::Unauthenticated, "PASSWORD_LINK_REFUSED"));
        first_log_in(&channel, COMPANY, ADMINISTRATOR, &links[0].password_token).await;
        let left = renew(&database, &folder).await;
        assert_eq!(left.iter().map(|link| link.username.as_str()).collect::<Vec<_>>(), ["operator"]);
        first_log_in(&channel, "operators", "operator", &left[0].password_token).await;
        assert_eq!(renew(&database, &folder).await, []);
        log_in(&channel, COMPANY, ADMINISTRATOR).await.expect("who has a password keeps it");
        running.stop().await.expect("it ends in order");
        database.close().await;
    }
}

#[tokio::test]
async fn an_invited_user_is_none_of_those_whom_init_made() {
    on_each(async |world: &World| {
        let root = &world.tenant.root_department_id;
        let request = world.new_user("mei", root, "Administrator").await;
        world.admin.directory().create_user(request).await.expect("it is made");
        assert_eq!(renew(&world.database, world.folder()).await, []);
    })
    .await;
}
