//! What people try who may not: each attempt must be refused, and the audit log must know of it.

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};

use super::{company::Company, files::customers, scenes::ask, story::Story};
use crate::client::Person;

/// What came of the attempts.
#[derive(Clone, Copy, Default, Debug)]
pub struct Attempts {
    /// Made.
    pub made: i64,
    /// Refused as not allowed.
    pub denied: i64,
    /// Refused as if there were no such row.
    pub hidden: i64,
}

impl Attempts {
    fn note<T>(&mut self, what: &str, result: Result<T, Failure>, story: &mut Story) -> Result<(), Failure> {
        self.made += 1;
        match result {
            Err(failure) if failure.kind == Kind::Denied => self.denied += 1,
            Err(failure) if failure.kind == Kind::NotFound => self.hidden += 1,
            Err(failure) => story.wrong.push(format!("{what}: answered {} and not a refusal", failure.reason)),
            Ok(_) => story.wrong.push(format!("{what}: was allowed")),
        }
        Ok(())
    }
}

/// The people of one company try what they may not, and those of another try to look in.
pub async fn make(company: &Company, second: &Company, story: &mut Story) -> Result<Attempts, Failure> {
    let mut attempts = Attempts::default();
    let lei = company.person("lei").fresh().await?;
    let request = customer::ListCustomersRequest { page_size: 1, ..Default::default() };
    let theirs = answer(lei.customers().list_customers(request).await)?.customers;
    let far = theirs.into_iter().next().map(|row| row.customer_id).unwrap_or_default();
    inside(company, &far, &mut attempts, story).await?;
    across(company, second, &far, &mut attempts, story).await?;
    Ok(attempts)
}

async fn inside(company: &Company, far: &str, attempts: &mut Attempts, story: &mut Story) -> Result<(), Failure> {
    let mei = company.person("mei").fresh().await?;
    attempts.note("a rep reads another store's customer", ask(mei, far).await, story)?;
    let change = customer::UpdateCustomerRequest {
        customer: Some(customer::Customer {
            customer_id: far.to_owned(),
            city: "上海".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["city".to_owned()] }),
        etag: "1".to_owned(),
        ..Default::default()
    };
    attempts.note("a rep changes it", answer(mei.customers().update_customer(change).await), story)?;
    let export = customer::ExportCustomersRequest { reason: "想带走".to_owned(), ..Default::default() };
    attempts.note("a rep exports customers", exported(mei, export).await, story)?;
    let plan = followup::CreatePlanRequest {
        name: "我的计划".to_owned(),
        template_key: "grade_a_weekly".to_owned(),
        definition: Some(followup::PlanDefinition { segment_id: far.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    attempts.note("a rep writes a plan", answer(mei.plans().create_plan(plan).await), story)?;
    attempts.note("a rep grants herself a right", grant_herself(mei).await, story)?;
    attempts.note("a manager reads another region's customer", ask(company.person("han"), far).await, story)?;
    attempts.note("service reads a lead", ask(company.person("an"), far).await, story)?;
    let admin = company.admin.fresh().await?;
    let everybody = customer::ListCustomersRequest::default();
    attempts.note(
        "the administrator lists customers",
        answer(admin.customers().list_customers(everybody).await),
        story,
    )?;
    let lin = company.person("lin").fresh().await?;
    let take = customer::TransferCustomerRequest {
        customer_id: far.to_owned(),
        owner_id: lin.id.to_string(),
        ..Default::default()
    };
    attempts.note("marketing takes a customer", answer(lin.ownership().transfer_customer(take).await), story)?;
    let cai = company.person("cai").fresh().await?;
    let note =
        customer::AddNoteRequest { customer_id: far.to_owned(), text: "财务备注".to_owned(), ..Default::default() };
    attempts.note("finance writes on the timeline", answer(cai.timeline().add_note(note).await), story)?;
    let shen = company.person("shen").fresh().await?;
    let create = customer::CreateCustomerRequest {
        customer: Some(customer::Customer {
            kind: customer::CustomerKind::Person as i32,
            name: "审计自建".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    attempts.note("the auditor creates a customer", answer(shen.customers().create_customer(create).await), story)
}

async fn across(
    company: &Company,
    second: &Company,
    far: &str,
    attempts: &mut Attempts,
    story: &mut Story,
) -> Result<(), Failure> {
    attempts.note("another company reads a customer", ask(second.person("song"), far).await, story)?;
    let admin = second.admin.fresh().await?;
    let user = identity::GetUserRequest { user_id: company.person("mei").id.to_string(), ..Default::default() };
    attempts.note("another company reads a user", answer(admin.directory().get_user(user).await), story)?;
    let suspend = identity::SuspendUserRequest { user_id: company.person("mei").id.to_string(), ..Default::default() };
    attempts.note("another company suspends a user", answer(admin.directory().suspend_user(suspend).await), story)
}

async fn exported(who: &Person, request: customer::ExportCustomersRequest) -> Result<(), Failure> {
    let mut chunks = answer(who.exports().export_customers(request).await)?;
    chunks.message().await.map(|_| ()).map_err(|status| revisit_bootstrap::status::failure(&status))
}

async fn grant_herself(who: &Person) -> Result<(), Failure> {
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant as i32, ..Default::default() }),
        levels: Some(identity::LayerLevels { basic: identity::Level::Read as i32, ..Default::default() }),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: who.id.to_string(),
        right: Some(right),
        reason: "自己给自己".to_owned(),
        ..Default::default()
    };
    answer(who.access().create_grant(request).await).map(|_| ())
}

/// Customers of the second company; its lists hold these and nothing else, and the first company's hold none of them.
pub async fn isolation(company: &Company, second: &Company, story: &mut Story) -> Result<(), Failure> {
    let song = second.person("song").fresh().await?;
    for (name, phone) in [("松鼠一号", "13800008801"), ("松鼠二号", "13800008802"), ("松鼠三号", "13800008803")]
    {
        let point = customer::ContactPoint {
            r#type: customer::ContactType::Phone as i32,
            value: phone.to_owned(),
            ..Default::default()
        };
        let request = customer::CreateCustomerRequest {
            customer: Some(customer::Customer {
                kind: customer::CustomerKind::Person as i32,
                name: name.to_owned(),
                contact_points: vec![point],
                ..Default::default()
            }),
            ..Default::default()
        };
        answer(song.customers().create_customer(request).await)?;
    }
    let own = customers(song, "").await?;
    let ours = customers(company.person("zhao").fresh().await?, "").await?;
    let mixed = own.iter().filter(|row| ours.iter().any(|other| other.customer_id == row.customer_id)).count();
    story.tell(format!("a second company, 松树教育, has {} customers and sees {}", 3, own.len()))?;
    story.must(own.len() == 3 && mixed == 0, "the two companies see each other's customers");
    Ok(())
}

/// Denials of the company that the audit log holds.
pub async fn audited(company: &Company) -> Result<i64, Failure> {
    let auditor = company.person("shen").fresh().await?;
    let (mut denials, mut page_token) = (0, String::new());
    loop {
        let request = identity::ListEntriesRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = answer(auditor.audit().list_entries(request).await)?;
        let entries = page.entries.iter().filter_map(|entry| entry.entry.as_ref());
        let denied = entries.filter(|entry| entry.outcome == identity::AuditOutcome::Denied as i32);
        denials += denied.map(|entry| entry.count.max(1)).sum::<i64>();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(denials);
        }
    }
}
