//! The entities of the standard, and what they mean here: a subject is a user or program by its UUID, an action and a type of
//! resources are names of the registry, and the attributes that policy looks at are properties of the resource.

use std::{fmt, marker::PhantomData};

use revisit_core::{Failure, Id, Input, id::SubjectId};
use revisit_permission::{Action, Levels, Resource, Row, SubjectKind};
use revisit_proto::identity::v1 as pb;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    grpc::{read::access, show},
    operations::{decisions::Question, meaning::Named},
};

/// An object, and no array: what serde derives would take an array's elements for the values, in the order of its fields.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData)).map(Self)
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries))
    }
}

/// A field that is an object.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(it)| it)
}

/// A field that is an object, or not there.
fn maybe<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Object<T>>::deserialize(deserializer).map(|it| it.map(|Object(it)| it))
}

/// A field that is a list of objects.
fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::<Object<T>>::deserialize(deserializer).map(|several| several.into_iter().map(|Object(it)| it).collect())
}

/// Who.
#[derive(Clone, Debug, Deserialize)]
pub struct SubjectEntity {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub id: String,
}

/// What is done.
#[derive(Clone, Debug, Deserialize)]
pub struct ActionEntity {
    pub name: String,
}

/// To which row.
#[derive(Clone, Debug, Deserialize)]
pub struct ResourceEntity {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub id: String,
    #[serde(default, deserialize_with = "object")]
    pub properties: Properties,
}

/// The attributes of a row. One that is not known is refused: a misspelt one would not be looked at by a guard.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Properties {
    owner_id: String,
    department_id: String,
    team_ids: Vec<String>,
    stage: String,
    grade: String,
    vip: bool,
    pooled: bool,
    #[serde(deserialize_with = "objects")]
    task_holders: Vec<Holder>,
    auth_rev: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    task_id: String,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    subject_id: String,
    #[serde(default)]
    layers: Levels,
    /// As RFC 3339 writes it.
    until_time: String,
}

/// Where the attributes of a row are sent.
pub const PROPERTIES: &str = "resource.properties";

/// One of several evaluations as it was sent, or what all of them have by default. Its parts are text until each is read by
/// itself, so that one without a meaning spoils no other evaluations than those that it is part of.
#[derive(Debug, Deserialize)]
pub struct Sent {
    pub subject: Option<Box<RawValue>>,
    pub action: Option<Box<RawValue>>,
    pub resource: Option<Box<RawValue>>,
}

/// The parts of an evaluation, each read or refused.
#[derive(Debug)]
pub struct Parts {
    subject: Result<Option<SubjectEntity>, Failure>,
    action: Result<Option<ActionEntity>, Failure>,
    resource: Result<Option<ResourceEntity>, Failure>,
}

impl Parts {
    pub fn read(sent: Sent) -> Self {
        Self {
            subject: part("subject", sent.subject),
            action: part("action", sent.action),
            resource: part("resource", sent.resource),
        }
    }

    /// What is asked, with what it lacks from the defaults.
    pub fn or(self, defaults: &Self) -> Result<Tuple, Failure> {
        Ok(Tuple {
            subject: own(self.subject, &defaults.subject)?,
            action: own(self.action, &defaults.action)?,
            resource: own(self.resource, &defaults.resource)?,
        })
    }

    /// What is asked when there is nothing else.
    pub fn alone(self) -> Result<Tuple, Failure> {
        Ok(Tuple { subject: self.subject?, action: self.action?, resource: self.resource? })
    }
}

fn part<T: DeserializeOwned>(field: &str, sent: Option<Box<RawValue>>) -> Result<Option<T>, Failure> {
    let read = sent.map(|sent| serde_json::from_str(sent.get())).transpose();
    read.map(|it| it.map(|Object(it)| it)).map_err(|fault| unreadable(field, &fault))
}

fn own<T: Clone>(own: Result<Option<T>, Failure>, default: &Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match own? {
        Some(own) => Ok(Some(own)),
        None => default.clone(),
    }
}

/// Characters that are told of what cannot be read. A fault repeats what was sent, and a default is told once for each
/// evaluation that has it.
const FAULT_MAX: usize = 200;

pub fn unreadable(field: &str, fault: &serde_json::Error) -> Failure {
    Failure::invalid_field(field, fault.to_string().chars().take(FAULT_MAX).collect::<String>())
}

/// What a request asks about.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tuple {
    #[serde(default, deserialize_with = "maybe")]
    pub subject: Option<SubjectEntity>,
    #[serde(default, deserialize_with = "maybe")]
    pub action: Option<ActionEntity>,
    #[serde(default, deserialize_with = "maybe")]
    pub resource: Option<ResourceEntity>,
}

impl Tuple {
    /// The question. An unknown action or type denies; what has no meaning at all is refused.
    pub fn question(self) -> Result<Question, Failure> {
        let mut input = Input::default();
        let (subject, kind) = subject(&mut input, self.subject);
        let action = input.required("action", self.action);
        let (resource, row) = resource(&mut input, self.resource);
        input.finish()?;
        let what = Named { action: known(action.as_ref(), resource), row, at: PROPERTIES };
        Ok(Question { tenant: None, subject: Some(subject), kind: Some(kind), what })
    }
}

/// The name of an action of the type; nothing when it is known that the type has none of this name. What a registered type
/// has, its company knows.
pub fn known(action: Option<&ActionEntity>, resource: Option<Resource>) -> Option<String> {
    let name = &action?.name;
    let fits = |resource| Action::parse(name).is_some_and(|action| action.resource() == resource);
    resource.is_none_or(fits).then(|| name.clone())
}

/// Which subjects a type means.
pub fn kind(input: &mut Input, it: &SubjectEntity) -> SubjectKind {
    match it.kind.as_str() {
        "user" => SubjectKind::User,
        "service_account" => SubjectKind::ServiceAccount,
        _ => {
            input.refuse("subject.type", "must be user or service_account");
            SubjectKind::User
        }
    }
}

/// A subject by its id, and what it is said to be.
pub fn subject(input: &mut Input, it: Option<SubjectEntity>) -> (SubjectId, SubjectKind) {
    match input.required("subject", it) {
        Some(it) => {
            let kind = kind(input, &it);
            (input.id("subject.id", &it.id), kind)
        }
        None => (Id::from_uuid(Uuid::nil()), SubjectKind::User),
    }
}

/// A type of ours, and a row of it; of another type the row says the name.
pub fn resource(input: &mut Input, it: Option<ResourceEntity>) -> (Option<Resource>, Row) {
    let it = input.required("resource", it);
    let resource = it.as_ref().and_then(|it| Resource::parse(&it.kind));
    let (kind, id, properties) = it.map(|it| (it.kind, it.id, it.properties)).unwrap_or_default();
    let _: SubjectId = input.id("resource.id", &id);
    let row = pb::RowAttributes {
        // What is wrong with it was told by its own name.
        row_id: id.parse().map_or_else(|_| Uuid::nil(), |id: SubjectId| id.uuid()).to_string(),
        owner_id: properties.owner_id,
        department_id: properties.department_id,
        team_ids: properties.team_ids,
        stage: properties.stage,
        grade: properties.grade,
        vip: properties.vip,
        pooled: properties.pooled,
        task_holders: properties.task_holders.into_iter().map(holder).collect(),
        auth_rev: properties.auth_rev,
        external_type: if resource.is_some() { String::new() } else { kind },
    };
    (resource, access::row(input, PROPERTIES, None, row))
}

/// A time that cannot be read is none, and none is refused by its field.
fn holder(it: Holder) -> pb::TaskHolder {
    pb::TaskHolder {
        task_id: it.task_id,
        generation: it.generation,
        subject_id: it.subject_id,
        layers: Some(show::levels(it.layers)),
        until_time: it.until_time.parse().ok(),
    }
}
