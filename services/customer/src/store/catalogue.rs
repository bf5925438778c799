//! What tenants declare: custom fields, stages, grade rules. Any reader of the tenant's data may read it.

use revisit_bootstrap::database::{Tx, is_unique};
use revisit_core::{
    Timestamp,
    id::{FieldId, TenantId},
};
use revisit_permission::{Decided, Layer};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, sea_query::Expr};

use super::{
    entity::{customer, field, field_choice, grade_rule, scheme, stage, stage_transition},
    save::insert_all,
};
use crate::domain::{
    Error,
    field::{Field, FieldType},
    grade, stage as stages,
};

const STAGES: i16 = 1;
const GRADES: i16 = 2;

/// All fields of a tenant by key, retired ones too.
pub async fn fields(tx: &Tx, tenant: TenantId) -> Result<Vec<Field>, DbErr> {
    let rows = field::Entity::find()
        .filter(field::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(field::Column::Key)
        .all(&**tx)
        .await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let choices = field_choice::Entity::find()
        .filter(field_choice::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(field_choice::Column::Ordinal)
        .all(&**tx)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Field {
            tenant,
            id: FieldId::from_uuid(row.field_id),
            kind: FieldType::from_stored(row.kind).unwrap_or(FieldType::Text),
            // A layer that this version does not know is treated like an unclassified one.
            layer: Layer::parse(&row.layer).unwrap_or(Layer::Sensitive),
            required: row.required,
            choices: choices
                .iter()
                .filter(|choice| choice.field_id == row.field_id)
                .map(|choice| (choice.key.clone(), choice.title.clone()))
                .collect(),
            length_max: row.length_max,
            number_min: row.number_min,
            number_max: row.number_max,
            retired_at: row.retired_at.map(Timestamp::from_micros),
            version: row.version,
            key: row.key,
            title: row.title,
        })
        .collect())
}

fn field_row(field: &Field) -> field::Model {
    field::Model {
        tenant_id: field.tenant.uuid(),
        field_id: field.id.uuid(),
        key: field.key.clone(),
        title: field.title.clone(),
        kind: field.kind as i16,
        layer: field.layer.name().to_owned(),
        required: field.required,
        length_max: field.length_max,
        number_min: field.number_min,
        number_max: field.number_max,
        retired_at: field.retired_at.map(Timestamp::micros),
        version: field.version,
    }
}

fn choice_rows(field: &Field) -> Vec<field_choice::Model> {
    let rows = field.choices.iter().enumerate().map(|(ordinal, (key, title))| field_choice::Model {
        tenant_id: field.tenant.uuid(),
        field_id: field.id.uuid(),
        key: key.clone(),
        ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
        title: title.clone(),
    });
    rows.collect()
}

pub async fn insert_field(tx: &Tx, _permit: &Decided, field: &Field) -> Result<(), Error> {
    insert_all::<field::Entity, _>(tx, vec![field_row(field)])
        .await
        .map_err(|error| if is_unique(&error) { Error::FieldExists(field.key.clone()) } else { Error::from(error) })?;
    insert_all::<field_choice::Entity, _>(tx, choice_rows(field)).await?;
    Ok(())
}

/// Writes what may change of a field; the version must be the one before.
pub async fn update_field(tx: &Tx, _permit: &Decided, field: &Field) -> Result<(), Error> {
    let row = field_row(field);
    let updated = field::Entity::update_many()
        .col_expr(field::Column::Title, Expr::val(row.title))
        .col_expr(field::Column::Required, Expr::val(row.required))
        .col_expr(field::Column::LengthMax, Expr::val(row.length_max))
        .col_expr(field::Column::NumberMin, Expr::val(row.number_min))
        .col_expr(field::Column::NumberMax, Expr::val(row.number_max))
        .col_expr(field::Column::RetiredAt, Expr::val(row.retired_at))
        .col_expr(field::Column::Version, Expr::val(row.version))
        .filter(field::Column::TenantId.eq(row.tenant_id))
        .filter(field::Column::FieldId.eq(row.field_id))
        .filter(field::Column::Version.eq(row.version - 1))
        .exec(&**tx)
        .await?;
    if updated.rows_affected != 1 {
        return Err(Error::EtagStale { newest: row.version });
    }
    field_choice::Entity::delete_many()
        .filter(field_choice::Column::TenantId.eq(row.tenant_id))
        .filter(field_choice::Column::FieldId.eq(row.field_id))
        .exec(&**tx)
        .await?;
    insert_all::<field_choice::Entity, _>(tx, choice_rows(field)).await?;
    Ok(())
}

async fn scheme_of(tx: &Tx, tenant: TenantId, kind: i16) -> Result<Option<scheme::Model>, DbErr> {
    scheme::Entity::find_by_id((tenant.uuid(), kind)).one(&**tx).await
}

/// The tenant's stages, or the shipped ones.
pub async fn stages(tx: &Tx, tenant: TenantId) -> Result<stages::Scheme, DbErr> {
    let Some(scheme) = scheme_of(tx, tenant, STAGES).await? else { return Ok(stages::Scheme::shipped()) };
    let rows = stage::Entity::find()
        .filter(stage::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(stage::Column::Ordinal)
        .all(&**tx)
        .await?;
    let transitions = stage_transition::Entity::find()
        .filter(stage_transition::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(stage_transition::Column::ToStage)
        .all(&**tx)
        .await?;
    let stages = rows.into_iter().map(|row| stages::Stage {
        next: transitions
            .iter()
            .filter(|transition| transition.from_stage == row.name)
            .map(|transition| transition.to_stage.clone())
            .collect(),
        name: row.name,
        title: row.title,
        active: row.active,
    });
    Ok(stages::Scheme { stages: stages.collect(), version: scheme.version })
}

/// Replaces the tenant's stages. A stage that customers are in must stay.
pub async fn set_stages(tx: &Tx, _permit: &Decided, tenant: TenantId, new: &stages::Scheme) -> Result<(), Error> {
    // Before the version says that there is a scheme of the tenant's own: until then the shipped one holds.
    let known = stages(tx, tenant).await?;
    set_scheme(tx, tenant, STAGES, (new.version, 0, "")).await?;
    for gone in known.stages.iter().filter(|stage| new.find(&stage.name).is_none()) {
        let used = customer::Entity::find()
            .filter(customer::Column::TenantId.eq(tenant.uuid()))
            .filter(customer::Column::Stage.eq(gone.name.as_str()))
            .count(&**tx)
            .await?;
        if used > 0 {
            return Err(Error::StageInUse(gone.name.clone()));
        }
    }
    stage::Entity::delete_many().filter(stage::Column::TenantId.eq(tenant.uuid())).exec(&**tx).await?;
    let of_tenant = stage_transition::Column::TenantId.eq(tenant.uuid());
    stage_transition::Entity::delete_many().filter(of_tenant).exec(&**tx).await?;
    let rows = new.stages.iter().enumerate().map(|(ordinal, stage)| stage::Model {
        tenant_id: tenant.uuid(),
        ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
        name: stage.name.clone(),
        title: stage.title.clone(),
        active: stage.active,
    });
    insert_all::<stage::Entity, _>(tx, rows.collect()).await?;
    let mut transitions: Vec<stage_transition::Model> = new
        .stages
        .iter()
        .flat_map(|stage| stage.next.iter().map(|next| (stage.name.clone(), next.clone())))
        .map(|(from_stage, to_stage)| stage_transition::Model { tenant_id: tenant.uuid(), from_stage, to_stage })
        .collect();
    transitions.sort_by(|one, other| (&one.from_stage, &one.to_stage).cmp(&(&other.from_stage, &other.to_stage)));
    transitions.dedup();
    insert_all::<stage_transition::Entity, _>(tx, transitions).await?;
    super::events::stages_changed(tx, tenant, new);
    Ok(())
}

/// The tenant's grade rules, or the shipped ones.
pub async fn grades(tx: &Tx, tenant: TenantId) -> Result<grade::Scheme, DbErr> {
    let Some(scheme) = scheme_of(tx, tenant, GRADES).await? else { return Ok(grade::Scheme::shipped()) };
    let rows = grade_rule::Entity::find()
        .filter(grade_rule::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(grade_rule::Column::Ordinal)
        .all(&**tx)
        .await?;
    let rules = rows.into_iter().map(|row| grade::Rule {
        grade: row.grade,
        amount_min: row.amount_min,
        orders_min: row.orders_min,
        recency_days_max: row.recency_days_max,
    });
    Ok(grade::Scheme {
        rules: rules.collect(),
        window_days: scheme.window_days,
        currency: scheme.currency,
        version: scheme.version,
    })
}

/// Replaces the tenant's grade rules.
pub async fn set_grades(tx: &Tx, _permit: &Decided, tenant: TenantId, new: &grade::Scheme) -> Result<(), Error> {
    set_scheme(tx, tenant, GRADES, (new.version, new.window_days, &new.currency)).await?;
    grade_rule::Entity::delete_many().filter(grade_rule::Column::TenantId.eq(tenant.uuid())).exec(&**tx).await?;
    let rows = new.rules.iter().enumerate().map(|(ordinal, rule)| grade_rule::Model {
        tenant_id: tenant.uuid(),
        ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
        grade: rule.grade.clone(),
        amount_min: rule.amount_min,
        orders_min: rule.orders_min,
        recency_days_max: rule.recency_days_max,
    });
    insert_all::<grade_rule::Entity, _>(tx, rows.collect()).await?;
    Ok(())
}

/// Compares and sets the version of a scheme: `new.0` follows the one that was read.
async fn set_scheme(tx: &Tx, tenant: TenantId, kind: i16, new: (i64, i32, &str)) -> Result<(), Error> {
    let (version, window_days, currency) = new;
    let known = scheme_of(tx, tenant, kind).await?.map_or(0, |scheme| scheme.version);
    if known != version - 1 {
        return Err(Error::EtagStale { newest: known });
    }
    let row = scheme::Model { tenant_id: tenant.uuid(), kind, version, window_days, currency: currency.to_owned() };
    if known == 0 {
        insert_all::<scheme::Entity, _>(tx, vec![row]).await.map_err(|error| {
            if is_unique(&error) { Error::EtagStale { newest: version } } else { Error::from(error) }
        })?;
        return Ok(());
    }
    let updated = scheme::Entity::update_many()
        .col_expr(scheme::Column::Version, Expr::val(version))
        .col_expr(scheme::Column::WindowDays, Expr::val(window_days))
        .col_expr(scheme::Column::Currency, Expr::val(currency))
        .filter(scheme::Column::TenantId.eq(tenant.uuid()))
        .filter(scheme::Column::Kind.eq(kind))
        .filter(scheme::Column::Version.eq(known))
        .exec(&**tx)
        .await?;
    if updated.rows_affected == 1 { Ok(()) } else { Err(Error::EtagStale { newest: version }) }
}
