//! What is alarming, rule by rule: who does what, how often, until the limit that ships is reached.

use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_identity::alert::Rule;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{TENANT, World, mask};
use tonic::Request;

/// The header that says from which address a log-in comes: failures are also put off by address, and each round has its own.
const ADDRESS_HEADER: &str = "x-bench-address";
/// Customers of a page that is read or exported again and again.
const PAGE: i32 = 100;

/// The limits that ship. Whether it is night is the clock's to say, so the working hours are those that make `off_hours` the
/// only rule that is about it, whenever it is measured.
pub fn settings(rule: Rule) -> String {
    let hour = Clock::system().wall().seconds().div_euclid(3_600).rem_euclid(24);
    let other = (hour + 12) % 24;
    let hours = if rule == Rule::OffHours { [other, other + 1] } else { [0, 24] };
    format!(
        "[server]\naddress_header = \"{ADDRESS_HEADER}\"\n\
         [identity.alerts]\ntime_zone = \"UTC\"\nworking_hours = [{}, {}]\n",
        hours[0], hours[1]
    )
}

/// Plants the customers whose values are taken, or asked about; answers whose they are.
pub async fn plant(world: &World, rule: Rule) -> Person {
    let many = match rule {
        Rule::BurstReads | Rule::BulkExport => PAGE,
        Rule::OffHours | Rule::DuplicateBudget => 1,
        Rule::SelfGrant | Rule::MassGrant | Rule::DeniedBurst | Rule::FailedLogIns => 0,
    };
    let owner = world.hire("owner", "sales_rep", &world.root).await;
    for number in 0..many {
        let row = customer::Customer {
            kind: customer::CustomerKind::Person.into(),
            name: "王芳".to_owned(),
            contact_points: vec![phone(number)],
            ..Default::default()
        };
        let request = customer::CreateCustomerRequest { customer: Some(row), ..Default::default() };
        answer(owner.customers().create_customer(request).await).expect("a customer");
    }
    world.settle().await;
    owner
}

fn phone(number: i32) -> customer::ContactPoint {
    customer::ContactPoint {
        r#type: customer::ContactType::Phone.into(),
        value: format!("1380000{number:04}"),
        ..Default::default()
    }
}

/// Calls until the limit is reached.
pub const fn calls(rule: Rule) -> usize {
    match rule {
        // 300 rows, 2,000 rows; a hundred each.
        Rule::BurstReads => 3,
        Rule::BulkExport | Rule::OffHours => 20,
        Rule::SelfGrant => 1,
        Rule::MassGrant => 50,
        Rule::DeniedBurst => 30,
        Rule::FailedLogIns => 10,
        // Thirty questions an hour are answered.
        Rule::DuplicateBudget => 31,
    }
}

/// Somebody who goes too far.
pub struct Burst {
    rule: Rule,
    pub who: Person,
    /// Whom a right is given to.
    holder: String,
    address: String,
}

impl Burst {
    /// With somebody new.
    pub async fn of(rule: Rule, (world, owner): (&World, &Person), round: usize) -> Self {
        let role = match rule {
            Rule::BurstReads | Rule::BulkExport | Rule::OffHours => "sales_manager",
            Rule::SelfGrant | Rule::MassGrant => "admin",
            Rule::DeniedBurst | Rule::FailedLogIns | Rule::DuplicateBudget => "sales_rep",
        };
        let who = world.hire(&format!("person{round}"), role, &world.root).await;
        let holder = match rule {
            Rule::SelfGrant => {
                let request = identity::CreateServiceAccountRequest {
                    display_name: format!("program {round}"),
                    department_id: world.root.clone(),
                    ..Default::default()
                };
                let made = answer(who.directory().create_service_account(request).await).expect("a program");
                made.service_account.expect("it is answered").service_account_id
            }
            Rule::BurstReads
            | Rule::BulkExport
            | Rule::OffHours
            | Rule::MassGrant
            | Rule::DeniedBurst
            | Rule::FailedLogIns
            | Rule::DuplicateBudget => owner.id.to_string(),
        };
        Self { rule, who, holder, address: format!("10.0.0.{round}") }
    }

    /// One call of it.
    pub async fn call(&self, world: &World) {
        let who = self.who.fresh().await.expect("a session");
        match self.rule {
            Rule::BurstReads | Rule::OffHours => {
                let read_mask = mask(&["contact_points"]);
                let request = customer::ListCustomersRequest { page_size: PAGE, read_mask, ..Default::default() };
                let rows = answer(who.customers().list_customers(request).await).expect("theirs to read").customers;
                assert!(!rows.is_empty(), "customers were planted");
            }
            Rule::BulkExport => {
                let mut file = answer(who.exports().export_customers(export()).await).expect("theirs to export");
                while file.message().await.expect("a chunk").is_some() {}
            }
            Rule::SelfGrant | Rule::MassGrant => give(who, &self.holder).await,
            Rule::DeniedBurst => {
                answer(who.exports().export_customers(export()).await).map(drop).expect_err("not theirs to export");
            }
            Rule::FailedLogIns => self.fail(world).await,
            Rule::DuplicateBudget => {
                let contact_points = vec![phone(0)];
                let request = customer::CheckDuplicatesRequest { contact_points, ..Default::default() };
                // The last one is refused.
                drop(answer(who.customers().check_duplicates(request).await));
            }
        }
    }

    /// A log-in with a wrong password.
    async fn fail(&self, world: &World) {
        let mut request = Request::new(identity::LogInRequest {
            tenant_key: TENANT.to_owned(),
            username: self.who.username.to_string(),
            password: "not the password".to_owned(),
            device: "a bench".to_owned(),
        });
        request.metadata_mut().insert(ADDRESS_HEADER, self.address.parse().expect("ASCII"));
        let mut auth = identity::auth_client::AuthClient::new(world.running.channel());
        answer(auth.log_in(request).await).map(drop).expect_err("it fails");
    }
}

fn export() -> customer::ExportCustomersRequest {
    customer::ExportCustomersRequest { reason: "to take along".to_owned(), ..Default::default() }
}

/// Gives somebody sight of every customer's name.
async fn give(who: &Person, holder: &str) {
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() }),
        levels: Some(identity::LayerLevels { basic: identity::Level::Read.into(), ..Default::default() }),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: holder.to_owned(),
        right: Some(right),
        reason: "to measure".to_owned(),
        ..Default::default()
    };
    answer(who.access().create_grant(request).await).expect("it is granted");
}
