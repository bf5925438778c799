//! The searches of the standard, page by page: subjects, resources that identity keeps, actions.

use std::sync::Arc;

use revisit_core::{
    Failure, Id, Input,
    page::{PAGE_SIZE_MAX, Page},
};
use revisit_permission::{Name, Resource};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::{self, Tuple};
use crate::{
    App,
    domain::Error,
    operations::{
        asking::{self, Asker},
        meaning::Named,
        searches::{self, Rows},
        subjects::{self, WhoMay},
    },
};

/// A search: what is looked for has a type and no id.
#[derive(Debug, Deserialize)]
pub struct Search {
    #[serde(flatten)]
    asked: Tuple,
    #[serde(default, deserialize_with = "wire::object")]
    page: Wanted,
}

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    token: String,
    /// At most 1,000; 50 when there is none, or with a token what its search began with.
    #[serde(default)]
    limit: u32,
}

/// Bytes of a token's key: the limit that the search began with, and the last result.
const LIMIT: usize = size_of::<u32>();

impl Wanted {
    /// A token serves the search that made it. Its limit may be left out of what follows, and not be another.
    fn read(&self, what: &str, asked: &Tuple) -> Result<(Page, Option<Uuid>), Failure> {
        let mut input = Input::default();
        let shape = format!("{asked:?}");
        let limit = i32::try_from(self.limit).unwrap_or(i32::MAX);
        let mut page = Page::read(&mut input, limit, &self.token, &["authzen", what, &shape]);
        if let Some(violation) = input.violations().first() {
            return Err(Failure::invalid_field("page.token", violation.rule.clone()));
        }
        let Some(key) = page.after.as_deref() else { return Ok((page, None)) };
        let (size, after) = begun(key).ok_or(Failure::invalid_field("page.token", "was not made by this search"))?;
        if self.limit != 0 && page.size != size {
            return Err(Failure::invalid_field("page.limit", "must be that of the request that the token is from"));
        }
        page.size = size;
        Ok((page, Some(after)))
    }
}

/// What a token says: the limit that the search began with, which nobody makes greater than it may be, and the last result.
fn begun(key: &[u8]) -> Option<(u32, Uuid)> {
    let (size, after) = key.split_at_checked(LIMIT)?;
    let size = u32::from_be_bytes(size.try_into().ok()?);
    Some((size.clamp(1, PAGE_SIZE_MAX), Uuid::from_slice(after).ok()?))
}

fn found(results: Vec<Value>, page: &Page, next: Option<Uuid>) -> Value {
    let key = next.map(|next| [&page.size.to_be_bytes()[..], next.as_bytes()].concat());
    let next_token = key.map(|key| page.token(&key)).unwrap_or_default();
    json!({ "page": { "next_token": next_token, "count": results.len() }, "results": results })
}

/// Who may do this to the row.
pub async fn subjects(app: Arc<App>, asker: Asker, input: Search) -> Result<Value, Error> {
    let (page, after) = input.page.read("subject", &input.asked)?;
    let Tuple { subject, action, resource } = input.asked;
    let mut input = Input::default();
    let subject = input.required("subject", subject);
    let kind = subject.as_ref().map(|subject| wire::kind(&mut input, subject));
    let action = input.required("action", action);
    let (resource, row) = wire::resource(&mut input, resource);
    input.finish()?;
    let kind_name = subject.map(|subject| subject.kind).unwrap_or_default();
    let what = Named { action: wire::known(action.as_ref(), resource), row, at: wire::PROPERTIES };
    let after = after.map(Id::from_uuid);
    let question = WhoMay { tenant: None, what, kind, at: None, after, size: page.size };
    let answer = match subjects::list(&app, &asker, &question).await {
        Err(Error::UnknownAction) => return Ok(found(Vec::new(), &page, None)),
        answer => answer?,
    };
    let results = answer.found.iter().map(|able| json!({ "type": kind_name, "id": able.subject.to_string() }));
    Ok(found(results.collect(), &page, answer.next.map(Id::uuid)))
}

/// To which rows of a type that identity keeps the subject may do this.
pub async fn resources(app: Arc<App>, asker: Asker, input: Search) -> Result<Value, Error> {
    let (page, after) = input.page.read("resource", &input.asked)?;
    let Tuple { subject, action, resource } = input.asked;
    let mut input = Input::default();
    let (subject, subject_kind) = wire::subject(&mut input, subject);
    let action = input.required("action", action);
    let resource = input.required("resource", resource);
    let kind = resource.map(|resource| resource.kind).unwrap_or_default();
    input.finish()?;
    if !asking::is_of_kind(&app, &asker, subject, subject_kind).await? {
        return Ok(found(Vec::new(), &page, None));
    }
    let ours = Resource::parse(&kind);
    let Some(action) = wire::known(action.as_ref(), ours) else { return Ok(found(Vec::new(), &page, None)) };
    let external = ours.is_none().then(|| Name::from(kind.as_str()));
    let wanted = Rows { subject: Some(subject), action, external, after, size: page.size };
    let searched = if ours.is_some() {
        searches::own_rows(&app, &asker, &wanted).await
    } else {
        let kept = searches::kept_rows(&app, &asker, &wanted).await;
        kept.map(|it| (it.rows.iter().map(|(row, _)| row.row.id).collect(), it.next))
    };
    let (rows, next) = match searched {
        Err(Error::UnknownAction) => return Ok(found(Vec::new(), &page, None)),
        Err(Error::NoSuchExternalType) => {
            return Err(Error::Refused { field: "resource.type", rule: "is not a known type" });
        }
        searched => searched?,
    };
    let results = rows.iter().map(|row| json!({ "type": kind, "id": row.to_string() }));
    Ok(found(results.collect(), &page, next))
}

/// What the subject may do to the row: all of it on one page, because the registry bounds it.
pub async fn actions(app: Arc<App>, asker: Asker, input: Search) -> Result<Value, Error> {
    let (page, _) = input.page.read("action", &input.asked)?;
    let Tuple { subject, action: _, resource } = input.asked;
    let mut input = Input::default();
    let (subject, subject_kind) = wire::subject(&mut input, subject);
    let (resource, row) = wire::resource(&mut input, resource);
    input.finish()?;
    if !asking::is_of_kind(&app, &asker, subject, subject_kind).await? {
        return Ok(found(Vec::new(), &page, None));
    }
    let named = Named { action: None, row, at: wire::PROPERTIES };
    let actions = searches::actions(&app, &asker, subject, (resource, named)).await?;
    Ok(found(actions.iter().map(|action| json!({ "name": action })).collect(), &page, None))
}
