//! Rows of other systems that are kept here.

use std::collections::HashMap;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{DepartmentId, SubjectId, TeamId, TenantId},
};
use revisit_permission::{Columns, Flags, Name, Predicate, Row, SideTable, merge_pages};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{IntoTableRef, OnConflict},
};
use uuid::Uuid;

use super::{
    entity::{
        external_row::{self, Column, Entity, Model},
        external_row_team as team,
    },
    id, micros, time, uuid,
};
use crate::domain::external::KeptRow;

/// Teams of rows in one statement: four values each, of which a database takes about 30,000.
const TEAMS_AT_ONCE: usize = 5_000;

/// Where policy finds the attributes of a kept row.
fn columns() -> Columns {
    let column = |column: Column| Some(column.as_column_ref().into());
    let of_team = |column: team::Column| column.as_column_ref();
    Columns {
        owner: column(Column::OwnerId),
        department: column(Column::DepartmentId),
        stage: column(Column::Stage),
        grade: column(Column::Grade),
        vip: column(Column::Vip),
        pooled: column(Column::Pooled),
        auth_rev: column(Column::AuthRev),
        external: column(Column::ExternalType),
        teams: Some(SideTable {
            table: team::Entity.into_table_ref(),
            tenant: of_team(team::Column::TenantId).into(),
            row: of_team(team::Column::RowId).into(),
            value: of_team(team::Column::TeamId).into(),
            external: Some(of_team(team::Column::ExternalType).into()),
        }),
        ..Columns::new(Column::TenantId.as_column_ref(), Column::RowId.as_column_ref())
    }
}

/// Rows of a predicate's type after an id, in the order of their ids: one query for each clause, merged.
pub async fn page(
    tx: &Tx,
    predicate: &Predicate,
    now: Timestamp,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<KeptRow>, Failure> {
    let mut pages = Vec::new();
    for reached in predicate.conditions(&columns(), now) {
        let mut find = Entity::find().filter(reached);
        if let Some(after) = after {
            find = find.filter(Column::RowId.gt(after));
        }
        pages.push(find.order_by_asc(Column::RowId).limit(limit).all(&**tx).await.map_err(fault)?);
    }
    let rows = merge_pages(pages, |row| row.row_id, usize::try_from(limit).unwrap_or(usize::MAX));
    with_teams(tx, rows).await
}

/// Rows of one type by their ids; those that are not kept are left out.
pub async fn by_ids(tx: &Tx, tenant: TenantId, external: &Name, ids: &[Uuid]) -> Result<Vec<KeptRow>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::ExternalType.eq(external.as_str()))
        .filter(tx.among(Column::RowId, ids.iter().copied()))
        .order_by_asc(Column::RowId);
    let rows = find.all(&**tx).await.map_err(fault)?;
    with_teams(tx, rows).await
}

/// Revisions of which [`newer`] tells; those that were issued come before one that never was.
const NEWER_MAX: u64 = 100;

/// The revisions after one under which rows of a type were written, the oldest first.
pub async fn newer(tx: &Tx, tenant: TenantId, external: &Name, revision: i64) -> Result<Vec<i64>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::ExternalType.eq(external.as_str()))
        .filter(Column::AuthRev.gt(revision))
        .order_by_asc(Column::AuthRev)
        .limit(NEWER_MAX)
        .select_only()
        .column(Column::AuthRev)
        .distinct()
        .into_tuple::<i64>();
    find.all(&**tx).await.map_err(fault)
}

/// How many rows of each type somebody owns, in one department or all.
pub async fn owned(
    tx: &Tx,
    tenant: TenantId,
    owner: SubjectId,
    department: Option<DepartmentId>,
) -> Result<Vec<(Name, i64)>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::OwnerId.eq(owner.uuid()));
    if let Some(department) = department {
        find = find.filter(Column::DepartmentId.eq(department.uuid()));
    }
    let counted = find
        .select_only()
        .column(Column::ExternalType)
        .column_as(Column::RowId.count(), "count")
        .group_by(Column::ExternalType)
        .order_by_asc(Column::ExternalType)
        .into_tuple::<(String, i64)>();
    let counted = counted.all(&**tx).await.map_err(fault)?;
    Ok(counted.into_iter().map(|(name, count)| (Name::from(name), count)).collect())
}

/// Whether any row of a type is kept.
pub async fn any(tx: &Tx, tenant: TenantId, external: &Name) -> Result<bool, Failure> {
    let find =
        Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::ExternalType.eq(external.as_str()));
    Ok(find.one(&**tx).await.map_err(fault)?.is_some())
}

/// Puts in each row what its teams are: one more query, whatever the number of rows. All are of one type.
async fn with_teams(tx: &Tx, rows: Vec<Model>) -> Result<Vec<KeptRow>, Failure> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let find = team::Entity::find()
        .filter(team::Column::TenantId.eq(first.tenant_id))
        .filter(team::Column::ExternalType.eq(first.external_type.as_str()))
        .filter(tx.among(team::Column::RowId, rows.iter().map(|row| row.row_id)))
        .order_by_asc(team::Column::TeamId);
    let mut teams: HashMap<Uuid, Vec<TeamId>> = HashMap::new();
    for row in find.all(&**tx).await.map_err(fault)? {
        teams.entry(row.row_id).or_default().push(Id::from_uuid(row.team_id));
    }
    Ok(rows.into_iter().map(|row| kept(&mut teams, row)).collect())
}

fn kept(teams: &mut HashMap<Uuid, Vec<TeamId>>, it: Model) -> KeptRow {
    let row = Row::new(Id::from_uuid(it.tenant_id), it.row_id)
        .with_owner(id(it.owner_id))
        .with_department(id(it.department_id))
        .with_teams(teams.remove(&it.row_id).unwrap_or_default())
        .with_stage(it.stage.map(Name::from))
        .with_grade(it.grade.map(Name::from))
        .with_flags(Flags { vip: it.vip, pooled: it.pooled })
        .with_auth_rev(it.auth_rev)
        .with_external(Some(Name::from(it.external_type)));
    KeptRow { row, display_name: it.display_name, version: it.version, updated_at: time(it.updated_at) }
}

/// Writes rows of one type in place of what was there. Each names a team once.
pub async fn put(tx: &Tx, tenant: TenantId, external: &Name, rows: &[KeptRow]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|it| it.row.id).collect();
    drop_teams(tx, tenant, external, &ids).await?;
    let text = |name: &Option<Name>| name.as_ref().map(ToString::to_string);
    let models = rows.iter().map(|it| {
        external_row::Model {
            tenant_id: tenant.uuid(),
            external_type: external.to_string(),
            row_id: it.row.id,
            display_name: it.display_name.clone(),
            owner_id: uuid(it.row.owner),
            department_id: uuid(it.row.department),
            stage: text(&it.row.stage),
            grade: text(&it.row.grade),
            vip: it.row.flags.vip,
            pooled: it.row.flags.pooled,
            auth_rev: it.row.auth_rev,
            version: it.version,
            updated_at: micros(it.updated_at),
        }
        .into_active_model()
    });
    let written = [
        Column::DisplayName,
        Column::OwnerId,
        Column::DepartmentId,
        Column::Stage,
        Column::Grade,
        Column::Vip,
        Column::Pooled,
        Column::AuthRev,
        Column::Version,
        Column::UpdatedAt,
    ];
    let there = OnConflict::columns([Column::TenantId, Column::ExternalType, Column::RowId]);
    let insert = Entity::insert_many(models).on_conflict(there.to_owned().update_columns(written).to_owned());
    insert.exec_without_returning(&**tx).await.map_err(fault)?;
    let shared = rows.iter().flat_map(|it| it.row.teams.iter().map(|team_id| (it.row.id, team_id.uuid())));
    let shared: Vec<(Uuid, Uuid)> = shared.collect();
    for part in shared.chunks(TEAMS_AT_ONCE) {
        let models = part.iter().map(|(row_id, team_id)| {
            let (external_type, row_id, team_id) = (external.to_string(), *row_id, *team_id);
            team::Model { tenant_id: tenant.uuid(), external_type, row_id, team_id }.into_active_model()
        });
        team::Entity::insert_many(models).exec_without_returning(&**tx).await.map_err(fault)?;
    }
    Ok(())
}

/// Removes rows of one type.
pub async fn remove(tx: &Tx, tenant: TenantId, external: &Name, ids: &[Uuid]) -> Result<(), Failure> {
    drop_teams(tx, tenant, external, ids).await?;
    let gone = Entity::delete_many()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::ExternalType.eq(external.as_str()))
        .filter(tx.among(Column::RowId, ids.iter().copied()));
    gone.exec(&**tx).await.map_err(fault)?;
    Ok(())
}

async fn drop_teams(tx: &Tx, tenant: TenantId, external: &Name, ids: &[Uuid]) -> Result<(), Failure> {
    let gone = team::Entity::delete_many()
        .filter(team::Column::TenantId.eq(tenant.uuid()))
        .filter(team::Column::ExternalType.eq(external.as_str()))
        .filter(tx.among(team::Column::RowId, ids.iter().copied()));
    gone.exec(&**tx).await.map_err(fault)?;
    Ok(())
}
