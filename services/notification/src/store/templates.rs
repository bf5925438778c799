//! Templates of tenants. Every tenant starts with the shipped ones.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{TemplateId, TenantId},
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Value};

use super::{entity, execute, query_one, time, unknown};
use crate::domain::{Channel, Locale, MessageKind, shipped};

use entity::template::{Column, Entity, Model};

/// The words of one kind on one channel in one language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pub tenant: TenantId,
    pub id: TemplateId,
    pub kind: MessageKind,
    pub channel: Channel,
    pub locale: Locale,
    pub text: String,
    pub layout: String,
    pub shipped: bool,
    pub version: i64,
    pub updated_at: Timestamp,
}

/// What a template is found by when a message is rendered.
pub type Key = (MessageKind, Channel, Locale);

impl Template {
    /// The shipped template of a tenant; its id is the same on every replica.
    pub fn shipped(tenant: TenantId, (kind, channel, locale): Key, now: Timestamp) -> Self {
        let tenant_id = tenant.uuid();
        let parts: [&[u8]; 4] =
            [tenant_id.as_bytes(), kind.name().as_bytes(), channel.name().as_bytes(), locale.name().as_bytes()];
        Self {
            tenant,
            id: TemplateId::derived("revisit notification template", &parts),
            kind,
            channel,
            locale,
            text: shipped::text(kind, locale).to_owned(),
            layout: shipped::layout(channel, locale).to_owned(),
            shipped: true,
            version: 1,
            updated_at: now,
        }
    }
}

fn template(row: Model) -> Result<Template, Failure> {
    Ok(Template {
        tenant: row.tenant_id.into(),
        id: row.template_id.into(),
        kind: MessageKind::parse(&row.kind).ok_or_else(|| unknown("message kind", &row.kind))?,
        channel: Channel::parse(&row.channel).ok_or_else(|| unknown("channel", &row.channel))?,
        locale: Locale::parse(&row.locale).ok_or_else(|| unknown("locale", &row.locale))?,
        text: row.body,
        layout: row.layout,
        shipped: row.shipped,
        version: row.version,
        updated_at: time(row.updated_at),
    })
}

/// Gives a tenant the shipped templates that it does not have yet.
pub async fn seed(tx: &Tx, tenant: TenantId, now: Timestamp) -> Result<(), Failure> {
    let probe = "SELECT 1 AS seeded FROM template WHERE tenant_id = $1 LIMIT 1";
    if query_one(tx, probe, [tenant.uuid().into()]).await?.is_some() {
        return Ok(());
    }
    for kind in MessageKind::ALL {
        for channel in shipped::CHANNELS {
            for locale in Locale::ALL {
                add(tx, &Template::shipped(tenant, (kind, channel, locale), now)).await?;
            }
        }
    }
    Ok(())
}

async fn add(tx: &Tx, template: &Template) -> Result<(), Failure> {
    let text = "INSERT INTO template (tenant_id, kind, channel, locale, template_id, body, layout, shipped, version,
            updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let values: [Value; 10] = [
        template.tenant.uuid().into(),
        template.kind.name().into(),
        template.channel.name().into(),
        template.locale.name().into(),
        template.id.uuid().into(),
        template.text.clone().into(),
        template.layout.clone().into(),
        template.shipped.into(),
        template.version.into(),
        template.updated_at.micros().into(),
    ];
    execute(tx, text, values).await?;
    Ok(())
}

/// A template by its id.
pub async fn find(tx: &Tx, tenant: TenantId, id: TemplateId) -> Result<Option<Template>, Failure> {
    let query = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::TemplateId.eq(id.uuid()));
    query.one(&**tx).await.map_err(fault)?.map(template).transpose()
}

/// The template for a message. A kind that a new version ships is not yet a row of older tenants.
pub async fn for_message(tx: &Tx, tenant: TenantId, key: Key, now: Timestamp) -> Result<Template, Failure> {
    let (kind, channel, locale) = key;
    let names = (tenant.uuid(), kind.name().to_owned(), channel.name().to_owned(), locale.name().to_owned());
    let row = Entity::find_by_id(names).one(&**tx).await.map_err(fault)?;
    row.map_or_else(|| Ok(Template::shipped(tenant, key, now)), template)
}

/// A page of templates in the order of kind, channel and locale.
pub async fn list(
    tx: &Tx,
    tenant: TenantId,
    (kind, locale): (Option<MessageKind>, Option<Locale>),
    after: Option<Key>,
    max: u64,
) -> Result<Vec<Template>, Failure> {
    let later = after.map(|(kind, channel, locale)| {
        let same_kind = Condition::all().add(Column::Kind.eq(kind.name()));
        let later_channel = same_kind.clone().add(Column::Channel.gt(channel.name()));
        let later_locale = same_kind.add(Column::Channel.eq(channel.name())).add(Column::Locale.gt(locale.name()));
        Condition::any().add(Column::Kind.gt(kind.name())).add(later_channel).add(later_locale)
    });
    let condition = Condition::all()
        .add(Column::TenantId.eq(tenant.uuid()))
        .add_option(kind.map(|kind| Column::Kind.eq(kind.name())))
        .add_option(locale.map(|locale| Column::Locale.eq(locale.name())))
        .add_option(later);
    let rows = Entity::find()
        .filter(condition)
        .order_by(Column::Kind, Order::Asc)
        .order_by(Column::Channel, Order::Asc)
        .order_by(Column::Locale, Order::Asc)
        .limit(max)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(template).collect()
}

/// Writes a changed template; answers false when somebody else changed it first.
pub async fn save(tx: &Tx, template: &Template, former_version: i64) -> Result<bool, Failure> {
    let text = "UPDATE template SET body = $1, layout = $2, shipped = $3, version = $4, updated_at = $5
        WHERE tenant_id = $6 AND template_id = $7 AND version = $8";
    let values: [Value; 8] = [
        template.text.clone().into(),
        template.layout.clone().into(),
        template.shipped.into(),
        template.version.into(),
        template.updated_at.micros().into(),
        template.tenant.uuid().into(),
        template.id.uuid().into(),
        former_version.into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}
