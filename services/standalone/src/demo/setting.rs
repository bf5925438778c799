//! The setting of a life: the company with its customers, grades, plans and channels, before the first working hour.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Failure;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, notification::v1 as notification};

use super::{
    World,
    attempts::isolation,
    check::Remains,
    company::{self, Company, STAFF},
    files::{self, Imported},
    people::MODEL,
    plans,
    story::Story,
};
use crate::client::Person;

/// Steps of clock time that the bulk transfers may take, and their length.
const GIVING_STEPS: u32 = 60;
const GIVING_STEP: Duration = Duration::from_secs(1);

/// A company that is ready for its first day.
pub struct Setting {
    /// The company.
    pub company: Company,
    /// The second one.
    pub second: Company,
    /// Who runs the installation.
    pub operator: Person,
    /// What was imported.
    pub imported: Imported,
    /// The plans.
    pub plans: Vec<followup::Plan>,
    /// The company's calendar.
    pub calendar_id: String,
    /// Who records orders.
    pub cash_desk: Person,
    hook_key: String,
}

impl Setting {
    /// What the end of the run looks at.
    pub fn remains<'a>(&'a self, world: &'a World) -> Remains<'a> {
        Remains {
            company: &self.company,
            second: &self.second,
            operator: &self.operator,
            imported: &self.imported,
            plans: &self.plans,
            calendar_id: &self.calendar_id,
            sink: &world.sink,
            receiver: &world.receiver,
            hook_key: &self.hook_key,
        }
    }
}

/// Builds everything, with reminders or without.
pub async fn set_up(
    world: &World,
    operator: Person,
    admin: Person,
    (reminders, story): (bool, &mut Story),
) -> Result<Setting, Failure> {
    let company = company::build(&world.door, admin).await?;
    let second = company::build_second(&world.door, &operator).await?;
    story.chapter("A company: 海棠家居")?;
    story.tell(format!(
        "{} departments, {} people in the shipped roles",
        company.departments.len(),
        STAFF.len() + 1
    ))?;
    let hook_key = channels(&company.admin, world, reminders).await?;
    world.running.settle().await?;
    let imported = bring_in(world, &company, story).await?;
    isolation(&company, &second, story).await?;
    let cash_desk = plans::cash_desk(&world.door, &company).await?;
    world.running.settle().await?;
    let orders = plans::record_orders(&cash_desk, &imported, &MODEL, world.running.now()).await?;
    let marketing = company.person("lin");
    let leaplings = plans::mark_birthdays(marketing).await?;
    let segments = plans::segments(marketing).await?;
    let calendar_id = plans::calendar(&company.admin).await?;
    world.running.settle().await?;
    let plans = plans::publish(&company.admin, &segments, &calendar_id, reminders).await?;
    world.running.settle().await?;
    story.chapter("Grades, segments and plans")?;
    story.tell(format!("{orders} orders recorded by the cash desk; grades follow: {}", grades(&company).await?))?;
    story.tell(format!("{} plans published; {leaplings} customers were born on a 29 February", plans.len()))?;
    Ok(Setting { company, second, operator, imported, plans, calendar_id, cash_desk, hook_key })
}

async fn bring_in(world: &World, company: &Company, story: &mut Story) -> Result<Imported, Failure> {
    let director = company.person("zong");
    files::declare_store(&company.admin).await?;
    let imported = files::import(director).await?;
    story.chapter("Three files of customers")?;
    for job in &imported.jobs {
        let encoding = if job.encoding.is_empty() { "xlsx" } else { &job.encoding };
        story.tell(format!(
            "{} ({encoding}): {} rows, {} created, {} merged, {} duplicates, {} rejected",
            job.file_name, job.row_count, job.created_count, job.merged_count, job.duplicate_count, job.rejected_count
        ))?;
    }
    for change in imported.cleaning.iter().take(3) {
        story.tell(format!("cleaned: {change}"))?;
    }
    world.running.settle().await?;
    let jobs = files::give_to_stores(company, director).await?;
    for _ in 0..GIVING_STEPS {
        let (moved, refused, done) = files::given(director, &jobs).await?;
        if done {
            story.tell(format!("given to the people of nine stores: {moved} moved, {refused} refused"))?;
            story.must_equal("customers given to stores", moved, imported.sum(|job| job.created_count));
            world.running.settle().await?;
            return Ok(imported);
        }
        world.running.advance_to(world.running.now() + GIVING_STEP).await?;
        director.fresh().await?;
    }
    Err(Failure::internal("the customers are never given to the stores"))
}

/// Registers the webhook, and switches the morning digest off: in the run without reminders nothing may remind.
async fn channels(admin: &Person, world: &World, reminders: bool) -> Result<String, Failure> {
    let endpoint = notification::Endpoint {
        url: world.receiver.url(),
        kinds: vec![notification::MessageKind::TaskOverdue as i32, notification::MessageKind::TaskEscalated as i32],
        state: notification::EndpointState::Enabled as i32,
        ..Default::default()
    };
    let request = notification::CreateEndpointRequest { endpoint: Some(endpoint), ..Default::default() };
    let made = answer(admin.endpoints().create_endpoint(request).await)?;
    // The digest is a reminder, too. It stays off in both runs, so that the plans' reminders are all that differs.
    let policy = notification::Policy { digest: false, ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["digest".to_owned()] });
    let request = notification::UpdatePolicyRequest { policy: Some(policy), update_mask };
    answer(admin.preferences().update_policy(request).await)?;
    tracing::debug!(reminders, "channels are set up");
    Ok(made.verification_key)
}

async fn grades(company: &Company) -> Result<String, Failure> {
    let executive = company.person("zhao").fresh().await?;
    let mut told = Vec::new();
    for grade in ["A", "B", "C"] {
        let request = customer::CountCustomersRequest { filter: format!("grade == \"{grade}\"") };
        told.push(format!("{grade} {}", answer(executive.customers().count_customers(request).await)?.count));
    }
    Ok(told.join(", "))
}
