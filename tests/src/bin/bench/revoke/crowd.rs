//! A company with many grants, written into its log as if they had been given one after the other.

use revisit_core::{
    Clock, Ids, Timestamp,
    id::{DepartmentId, GrantId, SubjectId, TenantId},
};
use revisit_permission::{Action, ActionSet, Change, Extent, Grant, Levels, Origin, Subject, SubjectState};
use revisit_tests::databases::connect_to;
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

/// People who hold them.
const PEOPLE: usize = 10_000;
/// Changes of one revision.
const CHANGES: usize = 1_000;

/// Plants so many grants on customers, spread over as many people as a large company has, all of one department.
pub async fn plant(database: &str, tenant: TenantId, department: DepartmentId, grants: usize) -> usize {
    let (ids, now) = (Ids::random(), Clock::system().wall());
    let people: Vec<SubjectId> = (0..PEOPLE.min(grants)).map(|_| ids.next(now)).collect();
    let subject = |id: &SubjectId| {
        let department = Some(department);
        Change::Subject(Subject { department, ..Subject::user(*id, "一", SubjectState::Active) })
    };
    let mut changes: Vec<Change> = people.iter().map(subject).collect();
    let held = (0..grants).map(|number| Change::Grant(grant(ids.next(now), people[number % people.len()], &ids)));
    changes.extend(held);
    let identity = connect_to(database).await;
    let run = async |text: &str, values: Vec<Value>| {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, text, values);
        identity.execute_raw(statement).await.expect("the log may be added to");
    };
    let tenant = Value::from(tenant.uuid());
    for chunk in changes.chunks(CHANGES) {
        let json = serde_json::to_vec(chunk).expect("a change is JSON");
        run("UPDATE tenant SET revision = revision + 1 WHERE tenant_id = $1", vec![tenant.clone()]).await;
        let insert = "INSERT INTO revision (tenant_id, revision, changes, created_at) \
                      SELECT tenant_id, revision, $2, $3 FROM tenant WHERE tenant_id = $1";
        run(insert, vec![tenant.clone(), Value::from(json), Value::from(now.micros())]).await;
    }
    people.len()
}

fn grant(id: GrantId, holder: SubjectId, ids: &Ids) -> Grant {
    Grant {
        id,
        holder,
        actions: ActionSet::of(&[Action::CustomerView]),
        extent: Extent::Ids([ids.bytes::<16>()].map(uuid::Uuid::from_bytes).into_iter().collect()),
        stages: None,
        grades: None,
        external: None,
        levels: Levels::WRITE,
        from: Timestamp::MIN,
        until: Timestamp::MAX,
        origin: Origin::Share,
    }
}
