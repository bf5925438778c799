//! `revisit.customer.v1.Customers`.

use std::sync::Arc;

use revisit_bootstrap::{Reply, authenticated, idempotency::Repeatable, reply};
use revisit_core::{
    Failure, Input,
    id::{ContactPointId, CustomerId},
};
use revisit_proto::{
    customer::v1::{self as pb, customers_server::Customers},
    identity::v1 as identity,
};
use tonic::Request;

use super::{read, show};
use crate::{
    App,
    domain::{Error, contact::ContactPoint, customer::CustomerKind, matching, normal::Region},
    operations::{
        Clear, View, access,
        batch_delete::{Answer, delete_all},
        change::{self, Asked},
        customers, lifecycle, matching as duplicates, stages,
    },
};

/// Rows of a batch at the most.
const BATCH_MAX: usize = 100;
/// Tags of one change at the most.
const TAGS_MAX: usize = 50;

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Customers for Served {
    async fn create_customer(&self, request: Request<pb::CreateCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (draft, repeat) = read::create(message, self.0.region(&who)?)?;
                customers::create(&self.0, &who, draft, repeat).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn upsert_customer(&self, request: Request<pb::UpsertCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (draft, repeat) = read::upsert(message, self.0.region(&who)?)?;
                change::upsert(&self.0, &who, draft, repeat).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn get_customer(&self, request: Request<pb::GetCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("customer_id", &message.customer_id);
                let clear = read::clear(&mut input, message.read_mask);
                input.finish()?;
                customers::get(&self.0, &who, id, &clear).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn batch_get_customers(
        &self,
        request: Request<pb::BatchGetCustomersRequest>,
    ) -> Reply<pb::BatchGetCustomersResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                input.require(!message.customer_ids.is_empty(), "customer_ids", "is required");
                let ids: Vec<CustomerId> = input.ids("customer_ids", &message.customer_ids, BATCH_MAX);
                input.finish()?;
                let views = customers::get_all(&self.0, &who, &ids, &Clear::default()).await?;
                Ok::<_, Error>(answers(&ids, &views))
            }
            .await,
        )
    }

    async fn list_customers(&self, request: Request<pb::ListCustomersRequest>) -> Reply<pb::ListCustomersResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (list, page) = read::list(message)?;
                let (views, next) = customers::list(&self.0, &who, list).await?;
                Ok::<_, Error>(pb::ListCustomersResponse {
                    customers: views.iter().map(show::customer).collect(),
                    next_page_token: next.map(|next| page.token(&next.bytes())).unwrap_or_default(),
                })
            }
            .await,
        )
    }

    async fn count_customers(&self, request: Request<pb::CountCustomersRequest>) -> Reply<pb::CountCustomersResponse> {
        let (who, message) = authenticated(request)?;
        let count = customers::count(&self.0, &who, &message.filter).await;
        reply(count.map(|count| pb::CountCustomersResponse { count }))
    }

    async fn update_customer(&self, request: Request<pb::UpdateCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (id, draft, mask, asked) = read::update(message, self.0.region(&who)?)?;
                change::update(&self.0, &who, id, (draft, mask), asked).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn delete_customer(&self, request: Request<pb::DeleteCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "DeleteCustomer", &message);
                let id = input.id("customer_id", &message.customer_id);
                let etag = read::etag(&mut input, &message.etag);
                input.finish()?;
                let asked = Asked { etag, repeat };
                lifecycle::delete(&self.0, &who, id, asked).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn batch_delete_customers(
        &self,
        request: Request<pb::BatchDeleteCustomersRequest>,
    ) -> Reply<pb::BatchDeleteCustomersResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "BatchDeleteCustomers", &message);
                input.require(!message.customer_ids.is_empty(), "customer_ids", "is required");
                let ids: Vec<CustomerId> = input.ids("customer_ids", &message.customer_ids, BATCH_MAX);
                let expected = usize::try_from(message.expected_count).unwrap_or_default();
                input.require(message.expected_count > 0, "expected_count", "is required");
                input.finish()?;
                let answers = delete_all(&self.0, &who, (ids, expected), repeat).await?;
                Ok::<_, Error>(pb::BatchDeleteCustomersResponse { answers: answers.into_iter().map(answer).collect() })
            }
            .await,
        )
    }

    async fn restore_customer(&self, request: Request<pb::RestoreCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "RestoreCustomer", &message);
                let id = input.id("customer_id", &message.customer_id);
                input.finish()?;
                lifecycle::restore(&self.0, &who, id, repeat).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn move_stage(&self, request: Request<pb::MoveStageRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "MoveStage", &message);
                let id = input.id("customer_id", &message.customer_id);
                let stage = input.text("stage", &message.stage, 1..=40);
                let owner = input.id_optional("new_owner_id", &message.new_owner_id);
                let asked = Asked { etag: read::etag(&mut input, &message.etag), repeat };
                input.finish()?;
                stages::move_stage(&self.0, &who, id, (&stage, owner), asked).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn tag_customer(&self, request: Request<pb::TagCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "TagCustomer", &message);
                let id = input.id("customer_id", &message.customer_id);
                input.require(message.add.len() + message.remove.len() > 0, "add", "is required");
                input.require(message.add.len() <= TAGS_MAX, "add", "must have at most 50 entries");
                input.require(message.remove.len() <= TAGS_MAX, "remove", "must have at most 50 entries");
                input.finish()?;
                let tags = (message.add, message.remove);
                lifecycle::tag(&self.0, &who, id, tags, repeat).await.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn check_duplicates(
        &self,
        request: Request<pb::CheckDuplicatesRequest>,
    ) -> Reply<pb::CheckDuplicatesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let keys = question(&message, self.0.region(&who)?)?;
                let found = duplicates::check(&self.0, &who, keys).await?;
                Ok::<_, Error>(pb::CheckDuplicatesResponse {
                    keys: found
                        .keys
                        .iter()
                        .map(|(kind, found)| pb::KeyResult {
                            key: kind.name().to_owned(),
                            strong: kind.is_strong(),
                            found: *found,
                        })
                        .collect(),
                    matches: found.matches.into_iter().map(shown_match).collect(),
                })
            }
            .await,
        )
    }

    async fn list_subjects_with_access(
        &self,
        request: Request<pb::ListSubjectsWithAccessRequest>,
    ) -> Reply<pb::ListSubjectsWithAccessResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let told = access::who_may(&self.0, &who, read::who_may(message)?).await?;
                Ok::<_, Error>(pb::ListSubjectsWithAccessResponse {
                    subjects: told.subjects,
                    next_page_token: told.next_page_token,
                    revision: told.revision,
                    decide_time: told.decide_time,
                })
            }
            .await,
        )
    }

    async fn explain_access(&self, request: Request<pb::ExplainAccessRequest>) -> Reply<pb::ExplainAccessResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let told = access::why(&self.0, &who, read::why(&message)?).await?;
                let identity::ExplainAccessResponse { answer, refused_axis, explanation } = told;
                Ok::<_, Error>(pb::ExplainAccessResponse { answer, refused_axis, explanation })
            }
            .await,
        )
    }
}

/// The keys of what somebody asks about.
fn question(
    message: &pb::CheckDuplicatesRequest,
    region: Region,
) -> Result<std::collections::BTreeSet<matching::Key>, Failure> {
    let mut input = Input::default();
    let name = input.text("name", &message.name, 0..=crate::domain::customer::NAME_MAX);
    let city = input.text("city", &message.city, 0..=crate::domain::customer::WORD_MAX);
    let company = read::kind(&mut input, "kind", message.kind) == Some(CustomerKind::Company);
    let points = read::contact_points(&mut input, &message.contact_points, region);
    let mut complete: Vec<ContactPoint> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        match point.complete(ContactPointId::from_uuid(uuid::Uuid::nil())) {
            Ok(point) => complete.push(point),
            Err(rule) => input.refuse(format!("contact_points[{index}].value"), rule),
        }
    }
    let keys = matching::keys(company, &name, &city, &complete);
    input.require(!keys.is_empty(), "contact_points", "name at least one, or a name and a city");
    input.finish()?;
    Ok(keys)
}

fn shown_match(found: duplicates::Match) -> pb::DuplicateMatch {
    pb::DuplicateMatch {
        customer: found.seen.as_ref().map(show::customer),
        owner_team: found.owner_team,
        matched_keys: found.keys.iter().map(|kind| kind.name().to_owned()).collect(),
    }
}

pub fn answers(ids: &[CustomerId], views: &[View]) -> pb::BatchGetCustomersResponse {
    let answers = ids.iter().map(|id| {
        let view = views.iter().find(|view| view.id() == *id);
        pb::CustomerAnswer {
            customer_id: id.to_string(),
            customer: view.map(show::customer),
            reason: if view.is_some() { String::new() } else { Error::NoSuchCustomer(*id).reason().to_owned() },
        }
    });
    pb::BatchGetCustomersResponse { answers: answers.collect() }
}

fn answer((id, result): Answer) -> pb::CustomerAnswer {
    let (customer, reason) = match result {
        Ok(view) => (Some(show::customer(&view)), String::new()),
        Err(reason) => (None, reason),
    };
    pb::CustomerAnswer { customer_id: id.to_string(), customer, reason }
}
