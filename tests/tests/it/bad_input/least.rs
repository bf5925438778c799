//! Least privilege: who holds no role calls what is about oneself, and is refused everything else of the contract.

use std::collections::BTreeSet;

use revisit_tests::{
    databases::Backend,
    world::{TENANT, World},
};
use tonic::Code;

use super::{
    From, PUBLIC, call, reason, upload,
    wire::{Contract, Evil, Place},
};

/// What everybody may call: one's own profile, sessions, password, messages and preferences, questions about oneself,
/// and the names that one's own company is known by.
const OWN: [&str; 10] = [
    // Each id has its own answer: that there is no such customer.
    "customer.v1.Customers/BatchDeleteCustomers",
    "customer.v1.Customers/BatchGetCustomers",
    // So has each question: about others it is refused.
    "identity.v1.Access/BatchCheck",
    "identity.v1.Auth/LogOut",
    "identity.v1.Directory/GetOwnProfile",
    "notification.v1.Inbox/GetUnreadCount",
    "notification.v1.Inbox/ListMessages",
    "notification.v1.Inbox/WatchMessages",
    "notification.v1.Preferences/GetPreferences",
    // What kinds of messages there are, which the contract says too.
    "notification.v1.Templates/ListKinds",
];

/// Calls whose requests only people make up: masks of fields, dates in an order, one of several, names of a shape. Their rights are tried
/// with the subjects that they belong to.
const MADE_UP: [&str; 33] = [
    "customer.v1.Catalogue/CreateField",
    "customer.v1.Catalogue/SetGrades",
    "customer.v1.Catalogue/SetStages",
    "customer.v1.Catalogue/UpdateField",
    "customer.v1.Customers/ListCustomers",
    "customer.v1.Customers/UpdateCustomer",
    "customer.v1.Segments/UpdateSegment",
    "customer.v1.Timeline/RecordTouch",
    "followup.v1.Calendars/CreateCalendar",
    "followup.v1.Calendars/UpdateCalendar",
    "followup.v1.Plans/CreatePlan",
    "followup.v1.Plans/UpdatePlan",
    "followup.v1.Tasks/CreateTask",
    "identity.v1.Access/SetRoleOverride",
    "identity.v1.Access/SwitchModule",
    "identity.v1.Access/UpdateRole",
    "identity.v1.Auth/ChangePassword",
    "identity.v1.Directory/UpdateDepartment",
    "identity.v1.Directory/UpdateOwnProfile",
    "identity.v1.Directory/UpdatePosition",
    "identity.v1.Directory/UpdateUser",
    "identity.v1.ExternalResources/BatchDeleteExternalResources",
    "identity.v1.ExternalResources/BatchPutExternalResources",
    "identity.v1.ExternalResources/GetExternalResource",
    "identity.v1.ExternalResources/ListExternalResources",
    "identity.v1.ExternalTypes/CreateExternalType",
    "identity.v1.ExternalTypes/DeleteExternalType",
    "identity.v1.ExternalTypes/GetExternalType",
    "identity.v1.ExternalTypes/UpdateExternalType",
    "notification.v1.Endpoints/UpdateEndpoint",
    "notification.v1.Preferences/UpdatePolicy",
    "notification.v1.Preferences/UpdatePreferences",
    "notification.v1.Templates/UpdateTemplate",
];

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_no_role_is_refused_every_call_that_is_not_about_oneself() {
    let world = World::start(Backend::Sqlite).await;
    world.roleless("mei").await;
    let (channel, contract) = (world.running.channel(), Contract::read());
    let (mut open, mut made_up, mut wrong) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for rpc in contract.rpcs.iter().filter(|rpc| !PUBLIC.contains(&rpc.path.as_str())) {
        // Anew each time: some of what is one's own ends the session.
        let who = world.log_in(TENANT, "mei").await.expect("a session");
        let name = rpc.path.trim_start_matches("/revisit.").to_owned();
        let plausible = contract.make(&rpc.request, None);
        let without = |field| contract.make(&rpc.request, Some((Evil::Missing, Place::Field(field)))).bytes;
        // What nobody would send as it was made is sent once more without each of its fields.
        let messages = std::iter::once(plausible.bytes).chain((0..plausible.fields).map(without));
        let mut answer = Ok(());
        for message in messages {
            answer = call(&channel, &rpc.path, &From::Person(who.token()), upload(rpc, message)).await;
            if !answer.as_ref().is_err_and(|status| status.code() == Code::InvalidArgument) {
                break;
            }
        }
        match answer {
            Ok(()) => {
                open.insert(name);
            }
            Err(status) if reason(&status).is_some_and(|reason| reason == "INTERNAL_CALL") => (),
            Err(status) if [Code::PermissionDenied, Code::NotFound].contains(&status.code()) => (),
            Err(status) if status.code() == Code::InvalidArgument => {
                made_up.insert(name);
            }
            Err(status) => wrong.push(format!("{name}: {status}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(open.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(OWN));
    assert_eq!(made_up.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(MADE_UP));
    world.running.stop().await.expect("it stops without a fault");
}
