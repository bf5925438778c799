//! Customers through their calls, on both databases: records, matching, filters, files, segments, lent access, ownership.

mod answers;
mod budgets;
mod calls;
mod catalogue;
mod confirmed;
mod contacts;
mod dump;
mod duties;
mod entries;
mod exports;
mod files;
mod filters;
mod imports;
mod lent;
mod lifecycle;
mod matching;
mod ownership;
mod recall;
mod records;
mod repeats;
mod schemes;
mod sealing;
mod segments;
mod support;
mod timeline;
mod uploads;
mod values;
mod widening;
mod work;

use revisit_bootstrap::status::answer;
use revisit_core::Failure;
use revisit_proto::customer::v1 as pb;
use revisit_standalone::client::Person;

/// A customer as somebody would type it.
pub fn person(name: &str, phone: &str) -> pb::Customer {
    pb::Customer {
        kind: pb::CustomerKind::Person as i32,
        name: name.to_owned(),
        contact_points: vec![point(pb::ContactType::Phone, phone)],
        ..Default::default()
    }
}

pub fn point(kind: pb::ContactType, value: &str) -> pb::ContactPoint {
    pb::ContactPoint { r#type: kind as i32, value: value.to_owned(), ..Default::default() }
}

pub async fn create(who: &Person, customer: pb::Customer) -> Result<pb::Customer, Failure> {
    let request = pb::CreateCustomerRequest { customer: Some(customer), ..Default::default() };
    answer(who.customers().create_customer(request).await)
}

pub async fn get(who: &Person, customer_id: &str) -> Result<pb::Customer, Failure> {
    let request = pb::GetCustomerRequest { customer_id: customer_id.to_owned(), ..Default::default() };
    answer(who.customers().get_customer(request).await)
}

/// Every customer that a filter gives, page by page.
pub async fn list(who: &Person, filter: &str, page_size: i32) -> Result<Vec<pb::Customer>, Failure> {
    let (mut customers, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListCustomersRequest { page_size, page_token, filter: filter.to_owned(), ..Default::default() };
        let page = answer(who.customers().list_customers(request).await)?;
        customers.extend(page.customers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(customers);
        }
    }
}

/// Fields at fault, in order.
pub fn fields(failure: &Failure) -> Vec<&str> {
    failure.violations.iter().map(|bad| bad.field.as_str()).collect()
}
