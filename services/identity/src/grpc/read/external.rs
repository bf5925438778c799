//! Reading registered types and rows of other systems.

use std::collections::BTreeMap;

use revisit_bootstrap::idempotency::Repeatable;
use revisit_core::{
    Failure, Input,
    id::{ExternalRowId, kind},
};
use revisit_permission::{Action, Attribute, ExternalType, Keeping, Layer, Name, Resource};
use revisit_proto::identity::v1 as pb;

use super::{access, directory::Repeated, mask, names};
use crate::{
    domain::{
        external::{ACTIONS_MAX, FIELDS_MAX, is_field, read_name},
        profile::{NAME_MAX, read_reason},
    },
    operations::{
        external_rows::{NewRow, ROWS_MAX},
        external_types::{NewType, TypeEdit},
    },
};

/// Characters of the name of a row.
const ROW_NAME_MAX: usize = 200;

/// The name of a type, alone in a request or beside others.
pub fn name(input: &mut Input, field: &str, text: &str) -> Name {
    Name::from(read_name(input, field, text))
}

fn actions(input: &mut Input, them: &[pb::ExternalAction]) -> BTreeMap<String, Action> {
    input.require(them.len() <= ACTIONS_MAX, "external_type.actions", "must have at most 32 entries");
    let mut read = BTreeMap::new();
    for (index, it) in them.iter().enumerate().take(ACTIONS_MAX) {
        let at = |name: &str| format!("external_type.actions[{index}].{name}");
        let own = read_name(input, &at("name"), &it.name);
        let verb = Action::parse(&it.verb).filter(|action| action.resource() == Resource::External);
        input.require(verb.is_some(), &at("verb"), "is no verb for rows of other systems");
        let taken = verb.and_then(|verb| read.insert(own, verb)).is_some();
        input.require(!taken, &at("name"), "is there twice");
    }
    read
}

fn fields(input: &mut Input, them: Vec<pb::ExternalField>) -> BTreeMap<String, Layer> {
    input.require(them.len() <= FIELDS_MAX, "external_type.fields", "must have at most 200 entries");
    let mut read = BTreeMap::new();
    for (index, it) in them.into_iter().enumerate().take(FIELDS_MAX) {
        let at = |name: &str| format!("external_type.fields[{index}].{name}");
        input.require(is_field(&it.name), &at("name"), "must be 1 to 100 of a-z, 0-9, _ and .");
        let layer = Layer::parse(&it.layer);
        input.require(layer.is_some(), &at("layer"), "is not a known layer");
        let taken = layer.and_then(|layer| read.insert(it.name, layer)).is_some();
        input.require(!taken, &at("name"), "is there twice");
    }
    read
}

fn attributes(input: &mut Input, them: &[String]) -> Vec<Attribute> {
    let known = Resource::External.attributes();
    input.require(them.len() <= known.len(), "external_type.attributes", "must name each attribute once");
    let mut read = Vec::new();
    for (index, text) in them.iter().enumerate().take(known.len()) {
        let attribute = Attribute::parse(text).filter(|it| known.contains(it) && !read.contains(it));
        let field = format!("external_type.attributes[{index}]");
        input.require(attribute.is_some(), &field, "must be an attribute of such rows, and there once");
        read.extend(attribute);
    }
    read.sort_unstable();
    read
}

fn keeping(input: &mut Input, value: i32) -> Keeping {
    match pb::ExternalKeeping::try_from(value) {
        Ok(pb::ExternalKeeping::Sent) => Keeping::Sent,
        Ok(pb::ExternalKeeping::Kept) => Keeping::Kept,
        Ok(pb::ExternalKeeping::Unspecified) => {
            input.refuse("external_type.keeping", "is required");
            Keeping::Sent
        }
        Err(_) => {
            input.refuse("external_type.keeping", "is not known");
            Keeping::Sent
        }
    }
}

pub fn create_type(message: pb::CreateExternalTypeRequest) -> Result<Repeated<NewType>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "ExternalTypes.CreateExternalType", &message);
    let it = input.required("external_type", message.external_type).unwrap_or_default();
    let facts = ExternalType {
        name: name(&mut input, "external_type.name", &it.name),
        actions: actions(&mut input, &it.actions),
        fields: fields(&mut input, it.fields),
        attributes: attributes(&mut input, &it.attributes),
        keeping: keeping(&mut input, it.keeping),
    };
    let display_name = input.text("external_type.display_name", &it.display_name, 1..=NAME_MAX);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((NewType { facts, display_name, reason }, repeat))
}

pub fn update_type(message: pb::UpdateExternalTypeRequest) -> Result<(Name, TypeEdit), Failure> {
    let mut input = Input::default();
    let paths = mask(&mut input, message.update_mask, &["display_name", "actions", "fields", "attributes"]);
    let it = input.required("external_type", message.external_type).unwrap_or_default();
    let name = name(&mut input, "external_type.name", &it.name);
    let edit = TypeEdit {
        display_name: names(&paths, "display_name")
            .then(|| input.text("external_type.display_name", &it.display_name, 1..=NAME_MAX)),
        actions: names(&paths, "actions").then(|| actions(&mut input, &it.actions)),
        fields: names(&paths, "fields").then(|| fields(&mut input, it.fields)),
        attributes: names(&paths, "attributes").then(|| attributes(&mut input, &it.attributes)),
        etag: it.etag,
        reason: read_reason(&mut input, &message.reason),
    };
    input.finish()?;
    Ok((name, edit))
}

pub fn delete_type(message: pb::DeleteExternalTypeRequest) -> Result<(Name, TypeEdit), Failure> {
    let mut input = Input::default();
    let name = name(&mut input, "name", &message.name);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((name, TypeEdit { etag: message.etag, reason, ..TypeEdit::default() }))
}

/// The type, and its rows as they shall be.
pub fn put_rows(message: pb::BatchPutExternalResourcesRequest) -> Result<(Name, Vec<NewRow>), Failure> {
    let mut input = Input::default();
    let external = name(&mut input, "external_type", &message.external_type);
    input.require(!message.resources.is_empty(), "resources", "is required");
    input.require(message.resources.len() <= ROWS_MAX, "resources", "must have at most 500 entries");
    let rows = message.resources.into_iter().take(ROWS_MAX).enumerate();
    let rows = rows.map(|(index, it)| row(&mut input, &format!("resources[{index}]"), &external, it)).collect();
    input.finish()?;
    Ok((external, rows))
}

fn row(input: &mut Input, field: &str, external: &Name, it: pb::ExternalResource) -> NewRow {
    let at = |name: &str| format!("{field}.{name}");
    let sent = input.required(&at("attributes"), it.attributes).unwrap_or_default();
    let of_type = sent.external_type.is_empty() || external == sent.external_type.as_str();
    input.require(of_type, &at("attributes.external_type"), "must be the type of the call, or empty");
    let mut row = access::row(input, &at("attributes"), None, sent).with_external(Some(external.clone()));
    row.auth_rev = 0;
    // In order and each once, as they are read back.
    let mut teams = row.teams.to_vec();
    teams.sort_unstable();
    teams.dedup();
    row.teams = teams.into();
    NewRow { row, display_name: input.text(&at("display_name"), &it.display_name, 0..=ROW_NAME_MAX), etag: it.etag }
}

/// The type, and the id of one of its rows.
pub fn named_row(message: &pb::GetExternalResourceRequest) -> Result<(Name, ExternalRowId), Failure> {
    let mut input = Input::default();
    let external = name(&mut input, "external_type", &message.external_type);
    let id = input.id("row_id", &message.row_id);
    input.finish()?;
    Ok((external, id))
}

/// The type, and ids of its rows.
pub fn delete_rows(message: &pb::BatchDeleteExternalResourcesRequest) -> Result<(Name, Vec<uuid::Uuid>), Failure> {
    let mut input = Input::default();
    let external = name(&mut input, "external_type", &message.external_type);
    input.require(!message.row_ids.is_empty(), "row_ids", "is required");
    let ids = input.ids::<kind::ExternalRow>("row_ids", &message.row_ids, ROWS_MAX);
    input.finish()?;
    let mut ids: Vec<_> = ids.into_iter().map(|id| id.uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok((external, ids))
}
