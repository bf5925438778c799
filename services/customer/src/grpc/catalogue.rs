//! `revisit.customer.v1.Catalogue`.

use std::sync::Arc;

use revisit_bootstrap::{Reply, authenticated, idempotency::Repeatable, reply, wire};
use revisit_core::{
    Failure, Input,
    id::{FieldId, TenantId},
};
use revisit_permission::Layer;
use revisit_proto::customer::v1::{self as pb, catalogue_server::Catalogue};
use tonic::Request;

use super::read;
use crate::{
    App,
    domain::{
        field::{CHOICES_MAX, Field, FieldType, LENGTH_DEFAULT, LENGTH_MAX, decimal, decimal_text, is_key},
        grade, stage,
    },
    operations::catalogue,
};

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Catalogue for Served {
    async fn create_field(&self, request: Request<pb::CreateFieldRequest>) -> Reply<pb::Field> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "CreateField", &message);
                let field = read_field(&mut input, message.field, true);
                input.finish()?;
                catalogue::create_field(&self.0, &who, field, repeat).await.map(|field| show_field(&field))
            }
            .await,
        )
    }

    async fn update_field(&self, request: Request<pb::UpdateFieldRequest>) -> Reply<pb::Field> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "UpdateField", &message);
                let etag = read::etag_required(&mut input, &message.etag).unwrap_or_default();
                let field = read_field(&mut input, message.field, false);
                input.finish()?;
                catalogue::update_field(&self.0, &who, (field, etag), repeat).await.map(|field| show_field(&field))
            }
            .await,
        )
    }

    async fn retire_field(&self, request: Request<pb::RetireFieldRequest>) -> Reply<pb::Field> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "RetireField", &message);
                let key = input.text("key", &message.key, 1..=40);
                input.finish()?;
                catalogue::retire_field(&self.0, &who, &key, repeat).await.map(|field| show_field(&field))
            }
            .await,
        )
    }

    async fn list_fields(&self, request: Request<pb::ListFieldsRequest>) -> Reply<pb::ListFieldsResponse> {
        let (who, message) = authenticated(request)?;
        let fields = catalogue::fields(&self.0, &who, message.include_retired).await;
        reply(fields.map(|fields| pb::ListFieldsResponse { fields: fields.iter().map(show_field).collect() }))
    }

    async fn get_stages(&self, request: Request<pb::GetStagesRequest>) -> Reply<pb::StageScheme> {
        let (who, _) = authenticated(request)?;
        reply(catalogue::stages(&self.0, &who).await.map(show_stages))
    }

    async fn set_stages(&self, request: Request<pb::SetStagesRequest>) -> Reply<pb::StageScheme> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (scheme, repeat) = read_stages(message)?;
                catalogue::set_stages(&self.0, &who, scheme, repeat).await.map(show_stages)
            }
            .await,
        )
    }

    async fn get_grades(&self, request: Request<pb::GetGradesRequest>) -> Reply<pb::GradeScheme> {
        let (who, _) = authenticated(request)?;
        reply(catalogue::grades(&self.0, &who).await.map(show_grades))
    }

    async fn set_grades(&self, request: Request<pb::SetGradesRequest>) -> Reply<pb::GradeScheme> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (scheme, repeat) = read_grades(message)?;
                catalogue::set_grades(&self.0, &who, scheme, repeat).await.map(show_grades)
            }
            .await,
        )
    }
}

fn read_field(outer: &mut Input, sent: Option<pb::Field>, new: bool) -> Field {
    let sent = outer.required("field", sent).unwrap_or_default();
    let mut input = Input::default();
    input.require(is_key(&sent.key), "key", "must be a lower-case letter, then letters, digits, `_`; at most 40");
    let kind = FieldType::from_stored(i16::try_from(sent.r#type).unwrap_or_default());
    input.require(
        kind.is_some() || !new,
        "type",
        if sent.r#type == 0 { "is required" } else { "is not a known value" },
    );
    // A field that nobody classified is sensitive.
    let layer = if sent.layer.is_empty() { Some(Layer::Sensitive) } else { Layer::parse(&sent.layer) };
    input.require(layer.is_some(), "layer", "is not a layer");
    let choosing = matches!(kind, Some(FieldType::Choice | FieldType::Choices));
    input.require(sent.choices.len() <= CHOICES_MAX, "choices", "must have at most 100 entries");
    input.require(!new || choosing != sent.choices.is_empty(), "choices", "are needed by choices, and only by them");
    let mut choices = Vec::new();
    for (index, choice) in sent.choices.iter().enumerate().take(CHOICES_MAX) {
        let key = input.text(&format!("choices[{index}].key"), &choice.key, 1..=40);
        let title = input.text(&format!("choices[{index}].title"), &choice.title, 1..=100);
        input.require(!choices.iter().any(|(known, _)| *known == key), "choices", "must not repeat a key");
        choices.push((key, title));
    }
    let number = |input: &mut Input, name: &str, text: &str| match text {
        "" => None,
        text => decimal(text).map_err(|rule| input.refuse(name, rule)).ok(),
    };
    let field = Field {
        tenant: TenantId::from_uuid(uuid::Uuid::nil()),
        id: FieldId::from_uuid(uuid::Uuid::nil()),
        title: input.text("title", &sent.title, 1..=100),
        kind: kind.unwrap_or(FieldType::Text),
        layer: layer.unwrap_or(Layer::Sensitive),
        required: sent.required,
        choices,
        length_max: match input.number("length_max", sent.length_max, 0..=LENGTH_MAX) {
            0 => LENGTH_DEFAULT,
            length => length,
        },
        number_min: number(&mut input, "number_min", &sent.number_min),
        number_max: number(&mut input, "number_max", &sent.number_max),
        retired_at: None,
        version: 0,
        key: sent.key,
    };
    outer.nest("field", input);
    field
}

fn show_field(field: &Field) -> pb::Field {
    pb::Field {
        field_id: field.id.to_string(),
        key: field.key.clone(),
        title: field.title.clone(),
        r#type: i32::from(field.kind as i16),
        layer: field.layer.name().to_owned(),
        required: field.required,
        choices: field
            .choices
            .iter()
            .map(|(key, title)| pb::Choice { key: key.clone(), title: title.clone() })
            .collect(),
        length_max: field.length_max,
        number_min: field.number_min.map(decimal_text).unwrap_or_default(),
        number_max: field.number_max.map(decimal_text).unwrap_or_default(),
        retire_time: wire::time_optional(field.retired_at),
        etag: field.version.to_string(),
    }
}

fn read_stages(message: pb::SetStagesRequest) -> Result<(stage::Scheme, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "SetStages", &message);
    let version = read::etag_required(&mut input, &message.etag).unwrap_or_default();
    let sent = input.required("scheme", message.scheme).unwrap_or_default();
    let mut scheme = stage::Scheme { stages: Vec::new(), version: version + 1 };
    for (index, stage) in sent.stages.into_iter().enumerate().take(stage::STAGES_MAX + 1) {
        let title = input.text(&format!("scheme.stages[{index}].title"), &stage.title, 1..=100);
        let next = stage.next.into_iter().take(stage::STAGES_MAX + 1).collect();
        scheme.stages.push(stage::Stage { name: stage.name, title, next, active: stage.active });
    }
    scheme.check(&mut input);
    input.finish()?;
    Ok((scheme, repeat))
}

fn show_stages(scheme: stage::Scheme) -> pb::StageScheme {
    pb::StageScheme {
        stages: scheme
            .stages
            .into_iter()
            .map(|stage| pb::Stage { name: stage.name, title: stage.title, next: stage.next, active: stage.active })
            .collect(),
        etag: scheme.version.to_string(),
    }
}

fn read_grades(message: pb::SetGradesRequest) -> Result<(grade::Scheme, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "SetGrades", &message);
    let version = read::etag_required(&mut input, &message.etag).unwrap_or_default();
    let sent = input.required("scheme", message.scheme).unwrap_or_default();
    let rules = sent.rules.into_iter().take(grade::RULES_MAX + 1).map(|rule| grade::Rule {
        grade: rule.grade,
        amount_min: rule.amount_min,
        orders_min: rule.orders_min,
        recency_days_max: rule.recency_days_max,
    });
    let scheme = grade::Scheme {
        rules: rules.collect(),
        window_days: sent.window_days,
        currency: sent.currency,
        version: version + 1,
    };
    scheme.check(&mut input);
    input.finish()?;
    Ok((scheme, repeat))
}

fn show_grades(scheme: grade::Scheme) -> pb::GradeScheme {
    pb::GradeScheme {
        rules: scheme
            .rules
            .into_iter()
            .map(|rule| pb::GradeRule {
                grade: rule.grade,
                amount_min: rule.amount_min,
                orders_min: rule.orders_min,
                recency_days_max: rule.recency_days_max,
            })
            .collect(),
        window_days: scheme.window_days,
        currency: scheme.currency,
        etag: scheme.version.to_string(),
    }
}
